"""`undertone worker`: audio chunks in, emotion events out."""

import gc
from pathlib import Path
from typing import Annotated

import typer

from undertone.cli.options import BootstrapServers, ClassPrior, metrics_port_option
from undertone.signals import stop_on_signals

app = typer.Typer()


@app.command()
def worker(
    instance_id: Annotated[
        str | None,
        typer.Option(
            "--instance-id",
            help="This worker's name, kept across restarts and used by no other worker. Default: the host's name.",
            show_default=False,
        ),
    ] = None,
    metrics_port: Annotated[int | None, metrics_port_option(9464)] = None,
    bootstrap_servers: BootstrapServers = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            help="Stay with this bundle, or with open, which ships for commercial use too. Else the champion of the "
            "models topic, without one its newest, as they come; else the default that ships.",
            show_default=False,
        ),
    ] = None,
    class_prior: ClassPrior = None,
    analyze_agent: Annotated[
        bool | None,
        typer.Option(
            "--analyze-agent",
            help="Analyse agents too. Off by default: some laws forbid inferring employees' emotions at work.",
            show_default=False,
        ),
    ] = None,
    leave_on_stop: Annotated[
        bool | None,
        typer.Option(
            "--leave-on-stop",
            help="SIGTERM means for good: the others take over at once. Else its partitions wait for its restart.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Turn call audio into emotion events, until SIGTERM or Ctrl-C; then finish the batch and leave.

    Start as many as there are partitions, each with its own --instance-id. A worker that dies loses nothing: the
    others, or its restart, go on from the very frame.
    """
    # What is loaded here stays: to look for garbage in it would take a seventh of the time that loading takes.
    gc.disable()
    from undertone.cli.log import start_log
    from undertone.messaging.settings import KafkaSettings
    from undertone.observability.telemetry import Telemetry
    from worker.scratch import keep_scratch_memory
    from worker.service import Worker
    from worker.settings import WorkerSettings

    start_log()
    keep_scratch_memory()
    kafka = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    settings = WorkerSettings.load(
        instance_id=instance_id,
        metrics_port=metrics_port,
        model=model,
        class_prior=class_prior,
        analyze_agent=analyze_agent,
        leave_on_stop=leave_on_stop,
    )
    service = Worker(kafka, settings)
    gc.freeze()
    gc.enable()

    stop_on_signals(service.stop)
    with Telemetry(settings.metrics_host, settings.metrics_port, service.metrics.registry, service.health) as telemetry:

        def say_ready(partitions: list[int]) -> None:
            where = ",".join(map(str, partitions)) or "none"
            typer.echo(
                f"ready: worker {settings.instance_id}, partitions {where},"
                f" metrics http://{telemetry.host}:{telemetry.port}/metrics"
            )

        service.run(say_ready)
    typer.echo("stopped")
