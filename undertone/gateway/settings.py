"""Settings of the gateway, from its options and the environment (UNDERTONE_GATEWAY_...)."""

import base64
import hmac
import ipaddress
import os
import ssl
from functools import cached_property
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, TypeAdapter, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from schemas.errors import UserError
from undertone.gateway.addresses import Address
from undertone.messaging.settings import PREFIX, Settings


class GatewaySettings(Settings):
    """What an operator may choose. Times are in seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(**Settings.model_config | {"env_prefix": f"{PREFIX}GATEWAY_"})

    tokens: SecretStr | None = None
    """Secrets of those who may connect, after commas; a new one and an old one can hold at the same time."""
    allowed_networks: str = ""
    """Who may connect where the protocol has no token: networks, after commas; empty is this machine alone."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    """With it a client must show a certificate of this authority."""
    public_url: str | None = None
    """How those outside reach the WebSocket listener; signatures are made over it."""
    audiohook_secrets: SecretStr | None = None
    """AudioHook's API keys and their client secrets, as JSON: {"key": "secret in base64"}. Empty: the key alone."""
    audiohook_max_age_s: float = Field(10, ge=1, le=600)
    """How old AudioHook's signatures may be."""
    twilio_auth_token: SecretStr | None = None
    """With it Twilio's X-Twilio-Signature is checked, and needed."""
    signalwire_signing_key: SecretStr | None = None
    """With it SignalWire's X-SignalWire-Signature is checked, and needed."""
    allowed_origins: str = ""
    """Origins of pages, after commas, that may send their microphone; the listener's own host always may."""
    chunk_ms: int = Field(500, ge=20, le=10_000)
    resume_s: float = Field(10, ge=0, le=600)
    """How long a call that broke off may come back as the same stream."""
    drain_s: float = Field(20, ge=0, le=86_400)
    """How long running calls go on after SIGTERM."""
    idle_s: float = Field(60, gt=0, le=86_400)
    """A connection without audio for so long is closed."""
    burst_s: float = Field(30, ge=1, le=86_400)
    """How far a live stream may be ahead of the clock."""
    max_calls: int = Field(2_000, ge=1, le=1_000_000)
    max_connections: int = Field(4_000, ge=1, le=1_000_000)
    max_message_bytes: int = Field(65_536, ge=1_024, le=16_777_216)
    max_call_bytes: int = Field(2_147_483_648, ge=1_024)
    """Audio of one stream, as it comes: 37 hours of L16 at 8 kHz."""
    buffer_bytes: int = Field(134_217_728, ge=1_048_576)
    """What waits for a Kafka that is away: 80 s of a hundred calls of L16 at 8 kHz."""
    kafka_patience_s: float = Field(5, gt=0, le=120)
    """Kafka takes nothing for so long: it is away, and new calls are refused."""
    settle_s: float = Field(5, ge=0, le=86_400)
    """A file of --watch that nothing has changed for so long is complete."""
    lookup_timeout_s: float = Field(3, gt=0, le=60)
    """How long the URL of --calls may take to name a call."""
    rtp_jitter_ms: int = Field(100, ge=20, le=2_000)
    """How long a packet of RTP is waited for once a later one is there."""
    rtp_payload_types: str = ""
    """What RTP's dynamic payload types stand for, after commas: 96=L16/16000/1."""
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(9465, ge=0, le=65535)

    @field_validator("tls_cert", "tls_key", "tls_client_ca")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is not None and not os.access(path, os.R_OK):
            raise ValueError(f"cannot read {path}")
        return path

    @field_validator("allowed_networks")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        for name in filter(None, map(str.strip, text.split(","))):
            ipaddress.ip_network(name)
        return text

    @field_validator("audiohook_secrets")
    @classmethod
    def _are_keys(cls, secrets: SecretStr | None) -> SecretStr | None:
        _keys(secrets)
        return secrets

    @model_validator(mode="after")
    def _certificate_is_whole(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("UNDERTONE_GATEWAY_TLS_CERT and UNDERTONE_GATEWAY_TLS_KEY belong together")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("UNDERTONE_GATEWAY_TLS_CLIENT_CA needs UNDERTONE_GATEWAY_TLS_CERT")
        return self

    @cached_property
    def networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """`allowed_networks`, read."""
        return tuple(map(ipaddress.ip_network, filter(None, map(str.strip, self.allowed_networks.split(",")))))

    @cached_property
    def token_list(self) -> tuple[str, ...]:
        """`tokens`, read."""
        text = self.tokens.get_secret_value() if self.tokens else ""
        return tuple(filter(None, map(str.strip, text.split(","))))

    @cached_property
    def audiohook_keys(self) -> dict[str, bytes]:
        """`audiohook_secrets`, read."""
        return _keys(self.audiohook_secrets)

    def token_fits(self, given: str) -> bool:
        """Whether `given` is one of the tokens; the time that it takes tells nothing."""
        fits = [hmac.compare_digest(given.encode(errors="replace"), token.encode()) for token in self.token_list]
        return any(fits)

    def may_connect(self, host: str, *, tls: bool = False) -> bool:
        """Whether a peer's address is this machine's or lies in an allowed network.

        `tls`: it came over TLS. Where no networks are named, a client's certificate says enough.
        """
        if tls and self.tls_client_ca and not self.networks:
            return True
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        plain = getattr(address, "ipv4_mapped", None) or address
        return plain.is_loopback or any(plain in network for network in self.networks)

    def server_context(self) -> ssl.SSLContext | None:
        """TLS for a listener; None where no certificate is set.

        Raises:
            UserError: certificate and key do not fit, or are none.
        """
        if self.tls_cert is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.tls_cert, self.tls_key)
            if self.tls_client_ca:
                context.load_verify_locations(self.tls_client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except (ssl.SSLError, OSError) as error:
            raise UserError(f"UNDERTONE_GATEWAY_TLS_CERT: no certificate with its key ({error})") from error
        return context

    def require_protection(self, option: str, address: Address, *, tokens: bool, tls: bool = True) -> None:
        """Let nobody open an unprotected door to the network. `tokens`: the protocol carries one; `tls`: it can be TLS.

        Raises:
            UserError: others than this machine reach `address`, and nothing says who may.
        """
        if address.loopback or (self.token_list if tokens else self.networks) or (tls and self.tls_client_ca):
            return
        names = ["UNDERTONE_GATEWAY_TOKENS" if tokens else "UNDERTONE_GATEWAY_ALLOWED_NETWORKS"]
        names += ["UNDERTONE_GATEWAY_TLS_CLIENT_CA"] if tls else []
        raise UserError(
            f"{option} {address}: others reach this address; say who may with {' or '.join(names)},"
            " or listen on 127.0.0.1"
        )


def _keys(secrets: SecretStr | None) -> dict[str, bytes]:
    try:
        given = TypeAdapter(dict[str, str]).validate_json(secrets.get_secret_value() if secrets else "{}")
        return {key: base64.b64decode(secret, validate=True) for key, secret in given.items()}
    except ValueError:  # binascii's and pydantic's errors are ones, and show what is secret
        raise ValueError('want JSON, {"API key": "client secret in base64"}') from None
