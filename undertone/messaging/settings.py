"""Settings from the environment: prefix UNDERTONE_, checked before anything connects."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.errors import UserError

PREFIX = "UNDERTONE_"
# Read outside of settings classes: where broker and trainer keep what they make, and switches of the tests.
OTHER_VARIABLES = frozenset({"UNDERTONE_HOME", "UNDERTONE_CACHE_DIR", "UNDERTONE_TEST_KAFKA", "UNDERTONE_TEST_DATA"})


class Settings(BaseSettings):
    """Base of every group of settings: field `x_y` is the variable UNDERTONE_X_Y, unless a group has its own prefix."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,  # Compose passes an unset ${VARIABLE} on as an empty string
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    @classmethod
    def load(cls, **options: Any) -> Self:
        """Settings from `options` (None means: not given), then the environment, then the defaults.

        Raises:
            UserError: a value is impossible; the line names the variable or the option.
        """
        given = {name: value for name, value in options.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as exc:
            raise UserError("; ".join(_line(dict(error), given, cls.prefix()) for error in exc.errors())) from exc

    @classmethod
    def variables(cls) -> frozenset[str]:
        """The names of the environment variables that this class reads."""
        return frozenset(cls.prefix() + name.upper() for name in cls.model_fields)

    @classmethod
    def prefix(cls) -> str:
        """What its variables begin with."""
        return str(cls.model_config["env_prefix"])


def _line(error: Mapping[str, Any], options: Mapping[str, Any], prefix: str) -> str:
    text = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return text
    name = str(error["loc"][0]).lower().removeprefix(prefix.lower())
    if name in options:
        source = f"--{name.replace('_', '-')}"
    elif prefix + name.upper() not in os.environ and name.upper().removeprefix("KAFKA_") == "BOOTSTRAP_SERVERS":
        source = "KAFKA_BOOTSTRAP_SERVERS"
    else:
        source = prefix + name.upper()
    return f"{source}: {text[0].lower()}{text[1:]}"


def reject_unknown_variables(*classes: type[Settings], environ: Mapping[str, str] | None = None) -> None:
    """Name a misspelt UNDERTONE_ variable instead of running on a default nobody asked for.

    Raises:
        UserError: the environment has an UNDERTONE_ variable that none of `classes` reads.
    """
    known = OTHER_VARIABLES.union(*(cls.variables() for cls in classes))
    given = os.environ if environ is None else environ
    for name in sorted(name for name in given if name.upper().startswith(PREFIX)):
        if name.upper() in known:
            continue
        near = difflib.get_close_matches(name.upper(), known, n=1)
        hint = f"did you mean {near[0]}?" if near else "unset it, or see docs/reference/settings.md for the names."
        raise UserError(f"{name} is no setting of Undertone: {hint}")


class KafkaSettings(Settings):
    """Where Kafka is, how to log in, and what is left there. TLS and SASL settings carry kafka-python's own names."""

    bootstrap_servers: str = Field(
        "127.0.0.1:9092",
        validation_alias=AliasChoices("UNDERTONE_BOOTSTRAP_SERVERS", "KAFKA_BOOTSTRAP_SERVERS"),
    )
    topic_prefix: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,100}$")
    connect_timeout_s: float = Field(8.0, gt=0, le=300)
    dead_letter_values: bool = True
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI"] | None = None
    sasl_plain_username: str | None = None
    sasl_plain_password: SecretStr | None = None
    sasl_kerberos_service_name: str | None = None
    sasl_kerberos_domain_name: str | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_crlfile: Path | None = None
    ssl_password: SecretStr | None = None
    ssl_check_hostname: bool | None = None
    ssl_ciphers: str | None = None

    @field_validator("bootstrap_servers")
    @classmethod
    def _host_and_port(cls, servers: str) -> str:
        for server in servers.split(","):
            host, colon, port = server.strip().rpartition(":")
            if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
                raise ValueError(f"{server.strip()!r} is not host:port")
        return servers

    @field_validator("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_crlfile")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is not None and not os.access(path, os.R_OK):
            raise ValueError(f"cannot read {path}")
        return path

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        sasl = self.security_protocol.startswith("SASL")
        if sasl and self.sasl_mechanism is None:
            raise ValueError(f"UNDERTONE_SECURITY_PROTOCOL={self.security_protocol} needs UNDERTONE_SASL_MECHANISM")
        if sasl and self.sasl_mechanism != "GSSAPI" and None in (self.sasl_plain_username, self.sasl_plain_password):
            raise ValueError(
                f"UNDERTONE_SASL_MECHANISM={self.sasl_mechanism} needs UNDERTONE_SASL_PLAIN_USERNAME"
                " and UNDERTONE_SASL_PLAIN_PASSWORD"
            )
        # A login that would silently not be used, or a certificate that would silently not be checked.
        for name in self.model_fields_set:
            wanted = name.split("_")[0].upper()
            if wanted in ("SASL", "SSL") and wanted not in self.security_protocol:
                raise ValueError(
                    f"{PREFIX}{name.upper()} is set, but UNDERTONE_SECURITY_PROTOCOL is {self.security_protocol}"
                )
        return self

    def client_options(self) -> dict[str, Any]:
        """The connection's options in kafka-python's names, secrets in the clear: never log this."""
        options: dict[str, Any] = {
            "bootstrap_servers": [server.strip() for server in self.bootstrap_servers.split(",")],
            "bootstrap_timeout_ms": int(self.connect_timeout_s * 1000),
            "security_protocol": self.security_protocol,
            # As in the Java client. The default here is 30 s: a worker would come back that late after a restart.
            "reconnect_backoff_max_ms": 1000,
        }
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name.startswith(("sasl_", "ssl_")) and value is not None:
                if isinstance(value, SecretStr):
                    value = value.get_secret_value()
                options[name] = str(value) if isinstance(value, Path) else value
        return options
