"""AudioHook's signatures: the documented example, and all that must not pass."""

import base64

import pytest

from schemas.errors import UserError
from tests.gateway.websocket.audiohook_client import handshake_headers, signed
from undertone.gateway.settings import GatewaySettings
from undertone.gateway.websocket.audiohook_signature import Handshake, SignatureCheck, Unauthorized

SECRET = b"thirty-two bytes of a secret ..."
SESSION = "30b0e395-84d3-4570-ac13-9a62d8f514c0"
TARGET, AUTHORITY = "/audiohook?site=1", "voice.example.com"
NOW = 1_800_000_000.0

# The example in AudioHook's documentation of its signatures, also in Genesys' reference implementation.
DOCUMENTED = (
    ("Host", "audiohook.example.com"),
    ("Audiohook-Organization-Id", "d7934305-0972-4844-938e-9060eef73d05"),
    ("Audiohook-Session-Id", "30b0e395-84d3-4570-ac13-9a62d8f514c0"),
    ("Audiohook-Correlation-Id", "e160e428-53e2-487c-977d-96989bf5c99d"),
    ("X-API-KEY", "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh"),
    ("Signature", "sig1=:NZBwyBHRRyRoeLqy1IzOa9VYBuI8TgMFt2GRDkDuJh4=:"),
    (
        "Signature-Input",
        'sig1=("@request-target" "@authority" "audiohook-organization-id" "audiohook-session-id" '
        '"audiohook-correlation-id" "x-api-key");keyid="SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh";'
        'nonce="VGhpc0lzQVVuaXF1ZU5vbmNl";alg="hmac-sha256";created=1641013200;expires=3282026430',
    ),
)
DOCUMENTED_SECRETS = {
    "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh": base64.b64decode("TXlTdXBlclNlY3JldEtleVRlbGxOby0xITJAMyM0JDU=")
}


def documented(
    lines: tuple[tuple[str, str], ...] = DOCUMENTED, target: str = "/api/v1/voicebiometrics/ws"
) -> Handshake:
    return Handshake(target, "audiohook.example.com", "https", lines)


def test_the_documented_example_passes() -> None:
    check = SignatureCheck(DOCUMENTED_SECRETS, clock=lambda: 1641013205.0)
    check.check(documented(tuple(reversed(DOCUMENTED))))


def test_the_documented_example_is_too_old_today() -> None:
    with pytest.raises(Unauthorized, match="want 10 s at most"):
        SignatureCheck(DOCUMENTED_SECRETS).check(documented())


@pytest.mark.parametrize("name", [name for name, _ in DOCUMENTED if name not in ("Host",)])
def test_the_documented_example_changed_does_not_pass(name: str) -> None:
    check = SignatureCheck(DOCUMENTED_SECRETS, clock=lambda: 1641013205.0)
    for change in (
        lambda text: text.swapcase(),
        lambda text: text + "x",
        lambda text: "",
        lambda text: "\udcff" + text,
    ):
        lines = tuple((key, change(value) if key == name else value) for key, value in DOCUMENTED)
        with pytest.raises(Unauthorized):
            check.check(documented(lines))
    with pytest.raises(Unauthorized):
        check.check(documented(tuple(line for line in DOCUMENTED if line[0] != name)))
    with pytest.raises(Unauthorized):
        check.check(documented((*DOCUMENTED, (name, "twice"))))
    with pytest.raises(Unauthorized):
        check.check(documented(target="/api/v1/voicebiometrics/ws/"))


def handshake(headers: dict[str, str], target: str = TARGET, authority: str = AUTHORITY) -> Handshake:
    return Handshake(target, authority, "https", tuple(headers.items()))


def fresh(secret: bytes = SECRET, created: float = NOW, nonce: str | None = None, leave_out: str = "") -> Handshake:
    headers = handshake_headers(SESSION)
    return handshake(signed(headers, secret, TARGET, AUTHORITY, created=created, nonce=nonce, leave_out=leave_out))


class Clock:
    """The time, as a test sets it."""

    now = NOW

    def __call__(self) -> float:
        return self.now


def test_a_signature_passes_once() -> None:
    check = SignatureCheck({"key": SECRET}, clock=Clock())
    once = fresh()
    check.check(once)
    with pytest.raises(Unauthorized, match="used before"):
        check.check(once)
    check.check(fresh())


def test_a_nonce_is_remembered_as_long_as_its_signature_is_young_and_no_longer() -> None:
    clock = Clock()
    check = SignatureCheck({"key": SECRET}, max_age_s=10, clock=clock)
    once = fresh(nonce="the same one")
    check.check(once)
    for clock.now in (NOW + 1, NOW + 10, NOW + 13):
        with pytest.raises(Unauthorized, match="used before"):
            check.check(once)
    clock.now = NOW + 13.5
    with pytest.raises(Unauthorized, match="made 14 s ago"):
        check.check(once)
    check.check(fresh(created=clock.now, nonce="the same one"))


@pytest.mark.parametrize("age", [-3600, -4, 14, 3600, 10**9])
def test_an_old_signature_and_one_of_tomorrow_do_not_pass(age: float) -> None:
    with pytest.raises(Unauthorized, match="s ago, want 10 s at most"):
        SignatureCheck({"key": SECRET}, clock=Clock()).check(fresh(created=NOW - age))


@pytest.mark.parametrize(
    "name",
    [
        "@request-target",
        "@authority",
        "audiohook-organization-id",
        "audiohook-session-id",
        "audiohook-correlation-id",
        "x-api-key",
    ],
)
def test_a_signature_over_less_does_not_pass(name: str) -> None:
    with pytest.raises(Unauthorized, match="not covered"):
        SignatureCheck({"key": SECRET}, clock=Clock()).check(fresh(leave_out=name))


def test_wrong_secrets_keys_and_places_do_not_pass() -> None:
    check = SignatureCheck({"key": SECRET, "other": b"secret", "open": b""}, clock=Clock())
    headers = handshake_headers(SESSION)
    with pytest.raises(Unauthorized, match="not valid"):
        check.check(fresh(secret=b"wrong"))
    with pytest.raises(Unauthorized, match="not valid"):
        check.check(handshake(headers))
    with pytest.raises(Unauthorized, match="no nonce"):
        check.check(fresh(nonce=""))
    for target, authority in ((TARGET + "&", AUTHORITY), (TARGET, "voice.example.com:8443"), ("/twilio", AUTHORITY)):
        with pytest.raises(Unauthorized, match="not valid"):
            check.check(handshake(signed(headers, SECRET, TARGET, AUTHORITY, created=NOW), target, authority))
    unknown = handshake_headers(SESSION, key="nobody's")
    with pytest.raises(Unauthorized, match="not valid"):
        check.check(handshake(signed(unknown, SECRET, TARGET, AUTHORITY, created=NOW)))
    # An empty secret is none: nobody signs with it, but its key alone passes.
    check.check(handshake(handshake_headers(SESSION, key="open")))
    with pytest.raises(Unauthorized, match="no X-API-KEY"):
        check.check(handshake({}))


def test_the_key_in_the_header_is_the_one_that_signed() -> None:
    headers = signed(handshake_headers(SESSION), SECRET, TARGET, AUTHORITY, created=NOW)
    forged = {name: value.replace('keyid="key"', 'keyid="other"') for name, value in headers.items()}
    with pytest.raises(Unauthorized):
        SignatureCheck({"key": SECRET, "other": SECRET}, clock=Clock()).check(handshake(forged))


@pytest.mark.parametrize(
    "text", ["sig1=()", "sig1=1", "=", "sig1", "sig1=(" * 1000, "é", "\udcff", "sig1=:%:", "," * 5000]
)
def test_mangled_headers_are_refused_and_nothing_else_is_raised(text: str) -> None:
    headers = signed(handshake_headers(SESSION), SECRET, TARGET, AUTHORITY, created=NOW)
    for name in ("Signature", "Signature-Input", "X-API-KEY", "Audiohook-Session-Id"):
        with pytest.raises(Unauthorized):
            SignatureCheck({"key": SECRET}, clock=Clock()).check(handshake(headers | {name: text}))


def test_keys_and_secrets_come_as_json() -> None:
    text = f'{{"key": "{base64.b64encode(SECRET).decode()}", "open": ""}}'
    assert GatewaySettings.load(audiohook_secrets=text).audiohook_keys == {"key": SECRET, "open": b""}
    assert GatewaySettings.load().audiohook_keys == {}
    for wrong in ("key=secret", '{"key": "no base64!"}', '{"key": 1}', "[]"):
        with pytest.raises(UserError, match="--audiohook-secrets: want JSON") as told:
            GatewaySettings.load(audiohook_secrets=wrong)
        assert wrong not in str(told.value)
