"""Settings of the sinks, from their options and the environment (UNDERTONE_SINK_...)."""

from pydantic import Field, SecretStr

from undertone.messaging.settings import Settings


class SinkSettings(Settings):
    """What an operator may choose for every sink. Times are in seconds."""

    sink_dsn: SecretStr | None = None
    """Where PostgreSQL is, and how to log in."""
    sink_secret: SecretStr | None = None
    """What webhooks are signed with."""
    sink_metrics_host: str = "127.0.0.1"
    sink_metrics_port: int = Field(9466, ge=0, le=65535)
    sink_batch_records: int | None = Field(None, ge=1, le=1_000_000)
    """Events written at once, at most. None, as in the two that follow: what suits the sink."""
    sink_batch_bytes: int | None = Field(None, ge=1024, le=1024**3)
    sink_batch_s: float | None = Field(None, ge=0, le=3_600)
    """How long the first event of a batch waits for others."""
    sink_session_timeout_s: float = Field(10, ge=1, le=1_800)
    """How long a sink may be silent before the others take its partitions."""
    sink_wait_s: float = Field(600, ge=0, le=86_400)
    """How long a start waits for a Kafka or a target that does not answer."""
