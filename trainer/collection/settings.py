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
    trainer_lease_s: float = Field(30, ge=6, le=300)
    """How long a trainer that rebuilds may be silent before another one may take over."""
    trainer_nice: int = Field(10, ge=0, le=19)
    """How far the training process stands back behind others of its machine."""
    trainer_prometheus_url: str | None = None
    """Prometheus, which is asked whether calls drift: a reason to rebuild where labels have come."""
    trainer_gate_corpora: float = Field(0.02, ge=0, le=1)
    """How far below the champion's UAR on corpora a candidate's may lie."""
    trainer_gate_group: float = Field(0.05, ge=0, le=1)
    """The same for each corpus, gender and language, and by telephone."""
    trainer_gate_ece: float = Field(0.05, ge=0, le=1)
    """How far above the champion's ECE a candidate's may lie."""
    trainer_gate_uncertain: float = Field(0.15, ge=0, le=1)
    """The same for the share of `uncertain`."""
    trainer_gate_cost: float = Field(5, gt=0, le=100)
    """How many times the champion's cost a candidate may cost."""
