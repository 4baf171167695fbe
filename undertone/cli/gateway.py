"""`undertone gateway`: calls that come in by telephony's own protocols, to streams on Kafka."""

from pathlib import Path
from typing import Annotated

import typer

from undertone.cli.options import BootstrapServers, metrics_port_option

app = typer.Typer()


@app.command()
def gateway(
    audiosocket: Annotated[
        str | None,
        typer.Option(
            "--audiosocket", metavar="HOST:PORT", help="Listen for Asterisk's AudioSocket (TCP).", show_default=False
        ),
    ] = None,
    websocket: Annotated[
        str | None,
        typer.Option(
            "--websocket",
            metavar="HOST:PORT",
            help="Listen for WebSockets: paths /twilio, /telnyx, /plivo, /exotel, /signalwire, /asterisk, "
            "/audiohook, /mod_audio_stream, /microphone.",
            show_default=False,
        ),
    ] = None,
    rtp: Annotated[
        str | None,
        typer.Option(
            "--rtp",
            metavar="HOST:FIRST-LAST",
            help="Listen for RTP on the even UDP ports of a range, each with its RTCP above it: a call for each.",
            show_default=False,
        ),
    ] = None,
    rtp_payload: Annotated[
        list[str] | None,
        typer.Option(
            "--rtp-payload",
            metavar="NUMBER=FORMAT/RATE[/CHANNELS]",
            help="What a dynamic payload type stands for, as in SDP: 96=L16/16000/1. May be given several times.",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[
        Path | None,
        typer.Option(
            "--watch",
            metavar="DIR",
            help="Send the recordings that are dropped into this folder, then move them to DIR/sent or DIR/bad.",
            show_default=False,
        ),
    ] = None,
    calls: Annotated[
        str | None,
        typer.Option(
            "--calls",
            metavar="FILE|URL",
            help="Who names calls: a CSV file with the columns key,call_id,channel,role, or a URL that is asked "
            "?key=... Default: the wire's own id, and a customer speaks.",
            show_default=False,
        ),
    ] = None,
    metrics_port: Annotated[int | None, metrics_port_option(9465)] = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Take calls from telephone systems and send their audio to Kafka, live, until SIGTERM or Ctrl-C.

    Each wire that is asked for listens on its own address, and `ready WIRE
    HOST:PORT` says when; port 0 takes a free one. When it is to stop, calls
    that run go on for UNDERTONE_GATEWAY_DRAIN_S, new ones are refused.

    Examples:

        undertone gateway --audiosocket 127.0.0.1:9019
        undertone gateway --websocket 127.0.0.1:8080
        undertone gateway --rtp 127.0.0.1:10000-10999 --calls calls.csv
    """
    from undertone.cli.extras import require
    from undertone.cli.log import start_log
    from undertone.gateway.addresses import parse_address
    from undertone.gateway.service import GatewayRequest
    from undertone.gateway.service import gateway as run
    from undertone.gateway.settings import GatewaySettings
    from undertone.messaging.settings import KafkaSettings

    start_log()
    if websocket:
        require("gateway", "--websocket needs the package websockets", "websockets")
    request = GatewayRequest(
        audiosocket=parse_address("--audiosocket", audiosocket) if audiosocket else None,
        websocket=parse_address("--websocket", websocket) if websocket else None,
        rtp=parse_address("--rtp", rtp, ports=True) if rtp else None,
        watch=watch,
        calls=calls,
    )
    payload_types = ",".join(rtp_payload) if rtp_payload else None
    settings = GatewaySettings.load(metrics_port=metrics_port, rtp_payload_types=payload_types)
    kafka = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    run(request, settings, kafka, lambda wire, where: typer.echo(f"ready {wire} {where}"), typer.echo)
    typer.echo("stopped")
