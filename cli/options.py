"""Options that several subcommands share, so that they read the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

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
    typer.Option("--model", help="A model bundle; the one that ships is the default.", show_default=False),
]
Channels = Annotated[
    str | None,
    typer.Option(
        "--channels",
        help="The channels' roles, left to right: customer or agent. Default: customer for mono, agent,customer for stereo.",
        show_default=False,
    ),
]
