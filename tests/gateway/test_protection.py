"""Who may connect: loopback unless asked, networks, TLS with and without client certificates."""

import asyncio
import contextlib
import socket
import ssl
import subprocess
from pathlib import Path
from typing import ClassVar, cast

import pytest

from schemas.errors import UserError
from tests.gateway.conftest import StartGateway
from tests.support.gateway import AudioSocketClient, chunks_of_calls, ended
from tests.support.installation import Installation
from tests.support.streams import customer
from undertone.gateway.addresses import Address, parse_address
from undertone.gateway.audiosocket import Connection
from undertone.gateway.audiosocket_messages import Kind, encode_message
from undertone.gateway.calls import Calls
from undertone.gateway.refusals import Refusal, Refused
from undertone.gateway.settings import GatewaySettings

LISTEN = ("--audiosocket", "127.0.0.1:0")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9092", Address("127.0.0.1", 9092)),
        ("[::1]:0", Address("::1", 0)),
        ("localhost:1", Address("localhost", 1)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address("--audiosocket", text) == address
    assert str(address) == text
    assert address.loopback


def test_addresses_with_ports() -> None:
    assert parse_address("--rtp", "0.0.0.0:10000-10999", ports=True) == Address("0.0.0.0", 10000, 10999)  # noqa: S104
    assert not parse_address("--rtp", "pbx.example.org:1-2", ports=True).loopback


@pytest.mark.parametrize("text", ["", "9092", ":9092", "a b:1", "h:70000", "h:1-2", "[::1:5", "::1:5"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UserError, match="--audiosocket"):
        parse_address("--audiosocket", text)


@pytest.mark.parametrize("text", ["h:1", "h:5-4", "h:0-4", "h:1-70000"])
def test_what_are_no_ports(text: str) -> None:
    with pytest.raises(UserError, match="--rtp"):
        parse_address("--rtp", text, ports=True)


def test_nobody_opens_an_unprotected_door() -> None:
    outside, inside = Address("0.0.0.0", 1), Address("127.0.0.1", 1)  # noqa: S104
    bare = GatewaySettings()
    bare.require_protection("--audiosocket", inside, tokens=False)
    with pytest.raises(UserError, match=r"^--audiosocket 0.0.0.0:1: .*UNDERTONE_GATEWAY_ALLOWED_NETWORKS"):
        bare.require_protection("--audiosocket", outside, tokens=False)
    with pytest.raises(UserError, match=r"^--websocket 0.0.0.0:1: .*UNDERTONE_GATEWAY_TOKENS"):
        bare.require_protection("--websocket", outside, tokens=True)
    GatewaySettings(tokens="a").require_protection("--websocket", outside, tokens=True)
    GatewaySettings(allowed_networks="10.0.0.0/8").require_protection("--audiosocket", outside, tokens=False)
    with pytest.raises(UserError):
        # A token that the protocol cannot carry protects nothing, nor do networks where a token would be asked for.
        GatewaySettings(tokens="a").require_protection("--audiosocket", outside, tokens=False)


def test_networks_and_tokens() -> None:
    settings = GatewaySettings(allowed_networks="10.1.0.0/16, fd00::/8", tokens="old, new")
    for host in ("127.0.0.1", "::1", "10.1.2.3", "::ffff:10.1.2.3", "fd00::1%eth0"):
        assert settings.may_connect(host), host
    for host in ("10.2.0.1", "::2", "", "pbx"):
        assert not settings.may_connect(host), host
    assert settings.token_fits("old")
    assert settings.token_fits("new")
    for token in ("", "ol", "old,", "old, new", "é"):
        assert not settings.token_fits(token), token
    assert not GatewaySettings().token_fits("")
    assert "old" not in repr(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"allowed_networks": "10.0.0.1/8"}, "UNDERTONE_GATEWAY_ALLOWED_NETWORKS: 10.0.0.1/8 has host bits set"),
        ({"tls_cert": "/no/such/file"}, "UNDERTONE_GATEWAY_TLS_CERT: cannot read /no/such/file"),
        ({"max_calls": "0"}, "UNDERTONE_GATEWAY_MAX_CALLS: input should be greater than or equal to 1"),
    ],
)
def test_an_impossible_setting_is_named(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"UNDERTONE_GATEWAY_{name.upper()}", value)
    with pytest.raises(UserError) as caught:
        GatewaySettings.load()
    assert told in str(caught.value)


def test_a_certificate_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    with pytest.raises(UserError, match="no certificate with its key"):
        GatewaySettings(tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "cert.pem").server_context()
    with pytest.raises(UserError, match="belong together"):
        GatewaySettings.load(tls_cert=tmp_path / "cert.pem")


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    cert, key = directory / f"{name}.pem", directory / f"{name}.key"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-subj", f"/CN={name}"]
    subprocess.run([*command, *names, "-out", cert, "-keyout", key], check=True, capture_output=True)
    return cert, key


def test_no_option_and_an_open_door_and_a_taken_port_are_one_line(start_gateway: StartGateway) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for options, told in (
            ((), "no wire to listen on"),
            (("--audiosocket", "0.0.0.0:0"), "others reach this address"),
            (("--audiosocket", f"127.0.0.1:{port}"), "cannot listen there"),
        ):
            gateway = start_gateway(*options)
            assert gateway.process.wait(60) == 2
            assert told in gateway.output
            assert len([line for line in gateway.output.splitlines() if not line.startswith("metrics on")]) == 1


def test_tls_with_client_certificates(installation: Installation, start_gateway: StartGateway, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "gateway")
    client_cert, client_key = certificate(tmp_path, "pbx")
    gateway = start_gateway("--audiosocket", "0.0.0.0:0", tls_cert=cert, tls_key=key, tls_client_ca=client_cert)
    address = ("127.0.0.1", gateway.address("audiosocket")[1])
    context = ssl.create_default_context(cafile=str(cert))
    # In TLS 1.3 a client learns that it was turned away when it reads.
    with contextlib.suppress(OSError):
        assert AudioSocketClient(address, tls=context).socket.recv(1) == b""
    assert not AudioSocketClient(address).answer(), "plain text is no TLS"
    context.load_cert_chain(client_cert, client_key)
    samples, rate = customer()
    client = AudioSocketClient(address, tls=context)
    client.speak(samples[:8_000], rate)
    client.end()
    name = f"{client.call}/customer"
    assert chunks_of_calls(installation, ended(name))[name]


class Stranger(asyncio.Transport):
    """A connection from another network, and what it is told."""

    def __init__(self, host: str) -> None:
        super().__init__({"peername": (host, 4000)})
        self.told = b""
        self._closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.told += bytes(data)

    def close(self) -> None:
        self._closed = True

    def is_closing(self) -> bool:
        return self._closed


def test_who_is_in_no_allowed_network_is_refused() -> None:
    class NoCalls:
        settings = GatewaySettings(allowed_networks="192.0.2.0/24")
        refusals: ClassVar[list[Refusal]] = []

        def refused(self, wire: str, refused: Refused, who: object = "") -> None:
            self.refusals.append(refused.reason)

    calls = NoCalls()
    stranger = Stranger("198.51.100.7")
    Connection(cast(Calls, calls), set()).connection_made(stranger)
    assert stranger.told == encode_message(Kind.ERROR, b"\x17") + encode_message(Kind.END)
    assert stranger.is_closing()
    assert calls.refusals == [Refusal.UNAUTHORIZED]


def test_a_clients_certificate_says_enough_where_no_network_is_named(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "gateway")
    settings = GatewaySettings(tls_cert=cert, tls_key=key, tls_client_ca=cert)
    assert settings.may_connect("198.51.100.7", tls=True)
    assert not settings.may_connect("198.51.100.7")
    both = GatewaySettings(tls_cert=cert, tls_key=key, tls_client_ca=cert, allowed_networks="10.0.0.0/8")
    assert not both.may_connect("198.51.100.7", tls=True)
    outside = Address("0.0.0.0", 1)  # noqa: S104
    settings.require_protection("--audiosocket", outside, tokens=False)
    with pytest.raises(UserError, match=r"with UNDERTONE_GATEWAY_ALLOWED_NETWORKS, or listen"):
        settings.require_protection("--rtp", outside, tokens=False, tls=False)
