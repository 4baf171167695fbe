"""`undertone console`: live calls in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from undertone.cli.options import BootstrapServers, metrics_port_option

app = typer.Typer()


@app.command()
def console(
    host: Annotated[
        str | None,
        typer.Option(
            "--host",
            help="Address to listen on. Others than this machine's own need a token, or --user-header."
            " [default: 127.0.0.1]",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=0, max=65535, help="Its port; 0 takes a free one. [default: 8080]", show_default=False
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            help="What people log in with. Better in UNDERTONE_CONSOLE_TOKEN: who may list processes reads options.",
            show_default=False,
        ),
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option(
            "--rules",
            help="A file of rules: alerts are shown, and sent by webhook.",
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    user_header: Annotated[
        str | None,
        typer.Option(
            "--user-header",
            help="Header in which a proxy that has logged people in says who they are: X-Forwarded-Email. Only what"
            " comes from UNDERTONE_CONSOLE_PROXY_NETWORKS is believed.",
            show_default=False,
        ),
    ] = None,
    metrics_port: Annotated[int | None, metrics_port_option(9468)] = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Show live calls in a browser, those that need attention first, until SIGTERM or Ctrl-C.

    It reads committed events only and belongs to no group, so it takes nothing from anybody. `ready http://...` says
    where its page is.

    Examples:

        undertone console
        UNDERTONE_CONSOLE_TOKEN=... undertone console --host 0.0.0.0 --port 8080
        UNDERTONE_CONSOLE_WEBHOOK_SECRET=... undertone console --rules rules.yml
    """
    from undertone.cli.extras import require

    needed = ("starlette", "sse_starlette", "uvicorn", "websockets", "httpx", "yaml")
    require("console", "`undertone console` needs starlette", *needed)
    from undertone.cli.log import start_log
    from undertone.console.web.service import console as run
    from undertone.console.web.settings import ConsoleSettings
    from undertone.messaging.settings import KafkaSettings

    start_log()
    settings = ConsoleSettings.load(
        host=host, port=port, token=token, rules=rules, user_header=user_header, metrics_port=metrics_port
    )
    kafka = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    run(settings, kafka, typer.echo)
    typer.echo("stopped")
