"""Settings of the console, from its options and the environment (UNDERTONE_CONSOLE_...)."""

import ipaddress
import os
import socket
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from undertone.console.web.roles import Role
from undertone.messaging.settings import PREFIX, Settings


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
        if not self.loopback and not given:
            raise ValueError(
                f"--host {self.host}: others reach this address; say who may look with --token or"
                " UNDERTONE_CONSOLE_TOKEN, or listen on 127.0.0.1"
            )
        return self

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
        names = {name.strip().lower() for name in self.allowed_hosts.split(",")} - {""}
        return frozenset(names | {"localhost", self.host.lower(), socket.gethostname().lower()})


def _state_home() -> Path:
    """Where programs keep what they may lose, but not with every start."""
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
