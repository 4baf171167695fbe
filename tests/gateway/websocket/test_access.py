"""Who may listen in: signatures, tokens, and the sites of pages, each as the platforms send them."""

import base64

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from tests.gateway.websocket.client import SECRET, signed
from undertone.gateway.refusals import Refused
from undertone.gateway.settings import GatewaySettings
from undertone.gateway.websocket.access import require_origin, require_signature, require_token
from undertone.gateway.websocket.dialects import TWILIO
from undertone.gateway.websocket.media_streams import MediaStreams


def request(path: str = "/twilio", **headers: str) -> Request:
    return Request(path, Headers({"Host": "gw.example.com", **headers}))


@pytest.mark.parametrize(
    ("public_url", "path", "url"),
    [
        (None, "/twilio", "wss://gw.example.com/twilio"),
        (None, "/twilio?x=1", "wss://gw.example.com/twilio?x=1"),
        ("wss://calls.example.com", "/twilio", "wss://calls.example.com/twilio"),
        ("https://calls.example.com/", "/twilio", "wss://calls.example.com/twilio"),
        ("wss://calls.example.com:8443/twilio", "/twilio", "wss://calls.example.com:8443/twilio"),
        ("wss://calls.example.com:8443/twilio", "/twilio", "wss://calls.example.com/twilio"),
        ("wss://calls.example.com/gw", "/twilio", "wss://calls.example.com/gw/twilio"),
    ],
)
def test_what_twilios_own_library_signs_is_taken(public_url: str | None, path: str, url: str) -> None:
    require_signature(request(path, **{"X-Twilio-Signature": signed(url)}), public_url, "X-Twilio-Signature", SECRET)


@pytest.mark.parametrize(
    "given",
    [
        signed("wss://gw.example.com/twilio/"),  # a slash at the end is another URL
        signed("wss://gw.example.com/plivo"),
        signed("wss://other.example.com/twilio"),
        signed("wss://gw.example.com/twilio", "another secret"),
        signed("wss://gw.example.com/twilio")[:-1],
        "",
        "ünïcode",
    ],
)
def test_another_signature_is_not(given: str) -> None:
    with pytest.raises(Refused, match="X-Twilio-Signature"):
        require_signature(request(**{"X-Twilio-Signature": given}), None, "X-Twilio-Signature", SECRET)
    with pytest.raises(Refused, match="X-Twilio-Signature"):
        require_signature(request(), None, "X-Twilio-Signature", SECRET)


def test_an_empty_secret_signs_nothing() -> None:
    endpoint = MediaStreams(TWILIO)
    endpoint.authorize(request(), GatewaySettings(twilio_auth_token=""))
    with pytest.raises(Refused, match="X-Twilio-Signature"):
        endpoint.authorize(request(), GatewaySettings(twilio_auth_token=SECRET))


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"key:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("path", "headers", "said", "passes"),
    [
        ("/x", {"Authorization": "Bearer sesame"}, None, True),
        ("/x", {"Authorization": "bearer  other "}, None, True),
        ("/x", {"Authorization": basic("sesame")}, None, True),
        ("/x?token=sesame", {}, None, True),
        ("/x", {}, "sesame", True),
        ("/x", {}, None, False),
        ("/x?token=", {}, "", False),
        ("/x", {"Authorization": "Bearer sesam"}, None, False),
        ("/x", {"Authorization": "Basic !"}, None, False),
        ("/x", {"Authorization": basic("wrong")}, None, False),
        ("/x", {}, "\ud800", False),
    ],
)
def test_tokens_are_looked_for_where_a_platform_can_put_them(
    path: str, headers: dict[str, str], said: str | None, passes: bool
) -> None:
    settings = GatewaySettings(tokens="sesame, other")
    if passes:
        require_token(request(path, **headers), settings, said)
    else:
        with pytest.raises(Refused, match="token"):
            require_token(request(path, **headers), settings, said)
    require_token(request(path, **headers), GatewaySettings(), said)


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        (None, True),
        ("https://gw.example.com", True),
        ("https://console.example.com", True),
        ("https://CALLS.example.com", True),
        ("https://evil.example.com", False),
        ("https://gw.example.com.evil.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_pages_of_other_sites_may_not_listen(origin: str | None, passes: bool) -> None:
    settings = GatewaySettings(
        allowed_origins="https://console.example.com/", public_url="wss://calls.example.com/microphone"
    )
    asked = request("/microphone", **({} if origin is None else {"Origin": origin}))
    if passes:
        require_origin(asked, settings)
    else:
        with pytest.raises(Refused, match="ORIGINS"):
            require_origin(asked, settings)
