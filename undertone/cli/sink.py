"""`undertone sink`: events to where people keep them."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from undertone.cli.options import BootstrapServers, metrics_port_option
from undertone.signals import stop_on_signals

if TYPE_CHECKING:
    from undertone.sinks.metrics import SinkMetrics
    from undertone.sinks.settings import SinkSettings
    from undertone.sinks.target import Target

app = typer.Typer()
sink = typer.Typer(no_args_is_help=True)
app.add_typer(sink, name="sink", help="Carry emotion events to PostgreSQL, Parquet files or a webhook.")

Updates = Annotated[
    bool, typer.Option("--updates", help="Also the updates, twice a second of speech; else segments and summaries.")
]
MetricsPort = Annotated[int | None, metrics_port_option(9466)]


@sink.command()
def postgres(
    dsn: Annotated[
        str | None,
        typer.Option(
            "--dsn",
            help="postgresql://user:password@host:5432/database. With a password better in UNDERTONE_SINK_DSN.",
            show_default=False,
        ),
    ] = None,
    updates: Updates = False,
    metrics_port: MetricsPort = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Write events to PostgreSQL, each exactly once, until SIGTERM or Ctrl-C; then finish the batch and leave.

    Rows and Kafka's offsets are in one transaction. Tables and views are in schema undertone, which it makes. Start
    more of them for the same database and they share the partitions.
    """
    from schemas.errors import UserError
    from undertone.cli.extras import require

    require("sink", "`undertone sink postgres` needs psycopg", "psycopg")

    def target(settings: "SinkSettings", _: "SinkMetrics") -> "Target":
        from undertone.sinks.postgres import Postgres

        given = dsn or (settings.sink_dsn.get_secret_value() if settings.sink_dsn else "")
        if not given:
            raise UserError("where is PostgreSQL? Give --dsn, or set UNDERTONE_SINK_DSN")
        return Postgres(given)

    _run(target, updates, metrics_port, bootstrap_servers)


@sink.command()
def parquet(
    to: Annotated[
        str,
        typer.Option("--to", help="Where: file:///data/events, s3://bucket/events, or another of fsspec's stores."),
    ],
    updates: Updates = False,
    metrics_port: MetricsPort = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Write events to Parquet files by hour, each exactly once, until SIGTERM or Ctrl-C; then finish the batch.

    Files lie in date=YYYY-MM-DD/hour=HH/ and appear when they are committed, so that any reader of **/*.parquet is
    right. Start more of them for the same place and they share the partitions.
    """
    from undertone.cli.extras import require

    require("sink", "`undertone sink parquet` needs pyarrow and fsspec", "pyarrow", "fsspec")

    def target(*_: object) -> "Target":
        from undertone.sinks.parquet import Parquet

        return Parquet(to)

    _run(target, updates, metrics_port, bootstrap_servers)


@sink.command()
def webhook(
    url: Annotated[str, typer.Option("--url", help="Where events are posted, https://...; http to this machine only.")],
    batch: Annotated[
        int, typer.Option("--batch", min=1, max=1000, help="Events in one request; with more than 1 an array of them.")
    ] = 1,
    tries: Annotated[
        int, typer.Option("--tries", min=1, max=100, help="Refused so many times, an event goes to dead-letters.")
    ] = 8,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.1, max=300, help="Seconds that an answer may take.")
    ] = 10.0,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Also http to other machines, where the network is yours.")
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            help="What it is called in Kafka. Default: by the address; a new one begins anew.",
            show_default=False,
        ),
    ] = None,
    updates: Updates = False,
    metrics_port: MetricsPort = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Post events to a service of yours, signed, each at least once, until SIGTERM or Ctrl-C.

    UNDERTONE_SINK_SECRET is what they are signed with. An answer of 2xx takes an event; anything else is tried again.
    """
    from schemas.errors import UserError
    from undertone.cli.extras import require

    require("sink", "`undertone sink webhook` needs httpx and tenacity", "httpx", "tenacity")
    if name and not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", name):
        raise UserError(f"--name {name[:40]!r}: take letters, digits, dots, dashes and underscores")

    def target(settings: "SinkSettings", metrics: "SinkMetrics") -> "Target":
        from undertone.sinks.webhook import Webhook, WebhookOptions
        from undertone.webhooks.signature import Signer

        secret = settings.sink_secret.get_secret_value() if settings.sink_secret else ""
        return Webhook(
            WebhookOptions(url, batch, tries, timeout_s, allow_http, name),
            Signer(secret, "UNDERTONE_SINK_SECRET"),
            metrics,
        )

    _run(target, updates, metrics_port, bootstrap_servers)


def _run(
    make: "Callable[[SinkSettings, SinkMetrics], Target]",
    updates: bool,
    metrics_port: int | None,
    bootstrap_servers: str | None,
) -> None:
    from undertone.cli.log import start_log
    from undertone.messaging.settings import KafkaSettings
    from undertone.observability.telemetry import Telemetry
    from undertone.sinks.metrics import SinkMetrics
    from undertone.sinks.service import SinkService
    from undertone.sinks.settings import SinkSettings

    start_log()
    kafka = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    settings = SinkSettings.load(sink_metrics_port=metrics_port)
    metrics = SinkMetrics()
    target = make(settings, metrics)
    service = SinkService(kafka, settings, target, metrics, updates=updates)
    stop_on_signals(service.stop)
    host, port = settings.sink_metrics_host, settings.sink_metrics_port
    with Telemetry(host, port, metrics.registry, service.health) as telemetry:

        def say_ready(partitions: list[int]) -> None:
            where = ",".join(map(str, partitions)) or "none"
            typer.echo(
                f"ready: sink {target.name}, partitions {where}, metrics http://{telemetry.host}:{telemetry.port}/metrics"
            )

        service.run(say_ready)
    typer.echo("stopped")
