"""Settings of the worker, from its options and the environment (UNDERTONE_...)."""

import re
import socket
from pathlib import Path

from pydantic import Field, field_validator

from schemas.errors import UserError
from undertone.inference.class_prior import parse_prior
from undertone.messaging.settings import Settings

_MOST_QUEUES = 50


class WorkerSettings(Settings):
    """What an operator may choose. Times are in seconds unless the name says otherwise."""

    instance_id: str = Field(default_factory=socket.gethostname)
    """Who this worker is to the group, across restarts; two workers of one group must not share it."""
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(9464, ge=0, le=65535)
    model: Path | None = None
    """A bundle to stay with. Without it, the champion of the `models` topic, or else its newest, as they come."""
    class_prior: str = "card"
    """How often each label is expected: as the model's card says, `training`, `uniform`, or `neutral=0.6,calm=0.2`."""
    analyze_agent: bool = False
    max_streams: int = Field(20_000, ge=1, le=1_000_000)
    idle_seconds: float = Field(300, gt=0, le=86_400)
    batch_ms: int = Field(200, ge=0, le=5_000)
    """How long the broker may collect chunks, so that many share a transaction."""
    batch_bytes: int = Field(8 * 1024 * 1024, ge=1024 * 1024, le=256 * 1024 * 1024)
    """Audio fetched at once from a broker. It bounds memory: one such answer in hand, one on its way."""
    batch_records: int = Field(2_000, ge=1, le=100_000)
    state_seconds: float = Field(5, ge=0, le=60)
    """How often an open stream's state is saved. A worker that takes over hears again what came since; 0: none."""
    shadow_share: float = Field(0, ge=0, le=1)
    """Share of the calls that the challenger hears unseen."""
    drift_utterances: int = Field(500, ge=1, le=1_000_000)
    """How many utterances must have been heard before the worker says how far they lie from the model's own data."""
    queues: str = ""
    """Beginnings of calls' ids, after commas: metrics tell them apart."""
    session_timeout_s: float = Field(30, ge=1, le=1_800)
    """How long a worker may be silent before the others take its partitions."""
    leave_on_stop: bool = False
    """Whether SIGTERM means that this worker does not come back, so that the others take over at once."""
    transaction_timeout_s: float = Field(20, ge=1, le=900)
    """When the broker aborts what a dead worker has left open, and its partitions can be taken over."""
    broker_wait_s: float = Field(600, ge=0, le=86_400)
    """How long a start waits for a Kafka that does not answer: a cluster's restart takes minutes."""
    stall_timeout_s: float = Field(90, ge=1, le=86_400)
    """A partition with work left that stands still for so long: not ready, and new clients."""
    stall_exit_s: float = Field(600, ge=1, le=86_400)
    """Not ready for so long though Kafka answers: the worker ends, for its supervisor to start it anew."""

    @property
    def queue_names(self) -> list[str]:
        """The queues that metrics tell apart."""
        return _names(self.queues)

    @field_validator("queues")
    @classmethod
    def _few_enough(cls, text: str) -> str:
        # Each has some 40 series at each worker.
        names = _names(text)
        if len(names) > _MOST_QUEUES or len(set(names)) < len(names):
            raise ValueError(f"want at most {_MOST_QUEUES} different names, after commas")
        return text

    @field_validator("class_prior")
    @classmethod
    def _as_priors_are_given(cls, text: str) -> str:
        try:
            parse_prior(text)
        except UserError as error:
            raise ValueError(str(error)) from None
        return text

    @field_validator("instance_id")
    @classmethod
    def _as_kafka_wants_it(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", name):
            raise ValueError(f"{name[:40]!r} is no name of letters, digits, dots, dashes and underscores")
        return name


def _names(text: str) -> list[str]:
    return [name for name in map(str.strip, text.split(",")) if name]
