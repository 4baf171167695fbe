"""Settings of the console, from its options and the environment (UNDERTONE_CONSOLE_...)."""

import ipaddress
import os
import socket
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from undertone.console.web.roles import Role
from undertone.messaging.settings import PREFIX, Settings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HEADER = r"^([A-Za-z][A-Za-z0-9-]{0,63})?$"


class ConsoleSettings(Settings):
    """What an operator may choose."""

    model_config = SettingsConfigDict(**Settings.model_config | {"env_prefix": f"{PREFIX}CONSOLE_"})

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(8080, ge=0, le=65535)
    token: SecretStr | None = None
    """What people log in with who may do everything: the role operate."""
    label_token: SecretStr | None = None
    """For those who may listen and label."""
    watch_token: SecretStr | None = None
    """For those who may watch."""
    user_header: str = Field("", pattern=_HEADER)
    """Where a proxy that has logged people in says who they are; nothing is believed of a header that is not named."""
    groups_header: str = Field("", pattern=_HEADER)
    """Where it says their groups, after commas."""
    role_groups: str = ""
    """Which group has which role, after commas: callcenter=label."""
    user_role: Literal["watch", "label", "operate", "none"] = "watch"
    """What those may whom the proxy names and whose groups give them no role."""
    proxy_networks: str = "127.0.0.0/8,::1/128"
    """Where the proxy is: a header from elsewhere is nothing."""
    labelled_by: str = Field("console", min_length=1, max_length=128)
    """Whose labels they are where nobody has logged in with a name."""
    allowed_hosts: str = ""
    """Names by which browsers reach the console, after commas; this machine's name and addresses always may be used."""
    rules: Path | None = None
    """A file of rules, whose alerts are shown and sent."""
    webhook_secret: SecretStr | None = None
    """What alerts are signed with."""
    folder: Path = Field(default_factory=lambda: _state_home() / "undertone" / "console")
    """What the console keeps; each console has its own."""
    prometheus: SecretStr | None = None
    """Where the page of figures asks: Prometheus' address, which may hold a login."""
    reports: Path | None = None
    """The trainer's folder, its `--out`: reports of models are shown from there."""
    history_mb: int = Field(1024, ge=16, le=1024**2)
    """How large the history may get; the oldest calls go."""
    back_s: float = Field(900, ge=0, le=86_400)
    """How far back events are read at the start."""
    memory_events: int = Field(100_000, ge=1_000, le=10_000_000)
    """Segments and summaries that are kept for browsers that come or come back: 20 minutes of 200 calls."""
    max_readers: int = Field(100, ge=1, le=10_000)
    """Pages that may be open at once."""
    microphones: int = Field(4, ge=0, le=100)
    """People who may try it with their microphone at once; with 0 the page is not there."""
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(9468, ge=0, le=65535)

    @model_validator(mode="after")
    def _others_need_a_token(self) -> Self:
        given = list(self.tokens.values())
        if len(set(given)) < len(given):
            raise ValueError("two roles have the same token: nobody could tell them apart")
        if not (self.loopback or given or self.user_header):
            raise ValueError(
                f"--host {self.host}: others reach this address; say who may look with --token or"
                " UNDERTONE_CONSOLE_TOKEN, name a proxy's header with --user-header, or listen on 127.0.0.1"
            )
        if not self.user_header and (self.groups_header or self.role_groups):
            raise ValueError("groups are of those whom --user-header, or UNDERTONE_CONSOLE_USER_HEADER, names")
        return self

    @field_validator("role_groups")
    @classmethod
    def _are_roles(cls, text: str) -> str:
        _groups(text)
        return text

    @field_validator("proxy_networks")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        _networks(text)
        return text

    @property
    def groups(self) -> dict[str, Role]:
        """`role_groups`, read."""
        return _groups(self.role_groups)

    @property
    def proxy_addresses(self) -> list[Network]:
        """`proxy_networks`, read."""
        return _networks(self.proxy_networks)

    @property
    def open_to_all(self) -> bool:
        """Whether nobody has to log in."""
        return not self.tokens and not self.user_header

    @property
    def tokens(self) -> dict[Role, str]:
        """The token of each role that has one; empty where nobody has to log in."""
        given = {Role.OPERATE: self.token, Role.LABEL: self.label_token, Role.WATCH: self.watch_token}
        read = {role: token.get_secret_value() for role, token in given.items() if token}
        return {role: token for role, token in read.items() if token}

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches the console; a name other than localhost counts as reachable."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def host_names(self) -> frozenset[str]:
        """The names that a request may call this host by, in small letters."""
        names = {name.lower() for name in _split(self.allowed_hosts)}
        return frozenset(names | {"localhost", self.host.lower(), socket.gethostname().lower()})


def _state_home() -> Path:
    """Where programs keep what they may lose, but not with every start."""
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()


def _groups(text: str) -> dict[str, Role]:
    found = {}
    for one in _split(text):
        group, _, role = one.rpartition("=")
        if not group.strip() or role.strip().upper() not in Role.__members__:
            raise ValueError(f"{one[:80]!r}: want GROUP=ROLE, with {', '.join(role.name.lower() for role in Role)}")
        found[group.strip()] = Role[role.strip().upper()]
    return found


def _networks(text: str) -> list[Network]:
    return [ipaddress.ip_network(one) for one in _split(text)]


def _split(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]
