"""Options that several subcommands share, so that they read the same everywhere."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class WireEncoding(StrEnum):
    """Encodings that can be asked for; L16 goes out big-endian, as RFC 2586 has it."""

    L16 = "l16"
    PCMU = "pcmu"
    PCMA = "pcma"


class WireRate(StrEnum):
    """Sample rates that streams can have, Hz."""

    NARROW = "8000"
    WIDE = "16000"


BootstrapServers = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        help="Kafka, host:port[,host:port]. Else UNDERTONE_BOOTSTRAP_SERVERS, KAFKA_BOOTSTRAP_SERVERS, 127.0.0.1:9092.",
        show_default=False,
    ),
]
Model = Annotated[
    Path | None,
    typer.Option(
        "--model",
        help="A model bundle, or open: the one that ships for commercial use too. Default: the other that ships.",
        show_default=False,
    ),
]
Channels = Annotated[
    str | None,
    typer.Option(
        "--channels",
        help="The channels' roles, left to right: customer or agent. "
        "Default: customer for mono, agent,customer for stereo.",
        show_default=False,
    ),
]
ClassPrior = Annotated[
    str | None,
    typer.Option(
        "--class-prior",
        help="How often each label is expected: card, training, uniform, or shares as in neutral=0.6,calm=0.2; labels "
        "without a share divide the rest.",
        show_default=False,
    ),
]


def metrics_port_option(default: int) -> Any:
    """The port that a service's metrics are served on; `default` is that of its settings."""
    return typer.Option(
        "--metrics-port",
        min=0,
        max=65535,
        help=f"Port of /metrics, /healthz and /readyz; 0 takes a free one. [default: {default}]",
        show_default=False,
    )
