"""Settings of the trainer as a service, from its options and the environment (UNDERTONE_TRAINER_...)."""

from pydantic import Field

from undertone.messaging.settings import Settings


class TrainerSettings(Settings):
    """What an operator may choose."""

    trainer_dataset: str | None = None
    """Where labels and their audio are kept: a folder, or a URL of fsspec's."""
    trainer_metrics_host: str = "127.0.0.1"
    trainer_metrics_port: int = Field(9467, ge=0, le=65535)
    analyze_agent: bool = False
    """Whether labels of agents are kept with their audio; the worker's setting of the same name."""
    trainer_wait_s: float = Field(600, ge=0, le=86_400)
    """How long a start waits for a Kafka or a store that does not answer."""
