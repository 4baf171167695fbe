"""`undertone produce`: audio files, directories or PCM on stdin as live calls on Kafka."""

from typing import Annotated

import typer

from schemas.audio import Encoding
from undertone.cli.options import BootstrapServers, Channels, WireEncoding, WireRate

app = typer.Typer()


@app.command()
def produce(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH|-...",
            help="Audio files (WAV, FLAC, MP3, Ogg, ...), directories of them, or - for PCM on standard input.",
            show_default=False,
        ),
    ],
    call_id: Annotated[
        str | None,
        typer.Option(
            help="The call's id. Default: the file's name without its ending. With several files: ID-NAME for each.",
            show_default=False,
        ),
    ] = None,
    channels: Channels = None,
    encoding: Annotated[
        WireEncoding,
        typer.Option(help="How samples are written on Kafka; for - also how they come in (l16: little-endian)."),
    ] = WireEncoding.L16,
    rate: Annotated[
        WireRate | None,
        typer.Option(
            help="Sample rate of the streams, Hz. Default: the file's own, else the nearest below. "
            "For -: the rate of what comes in; default 16000, or 8000 with pcmu and pcma.",
            show_default=False,
        ),
    ] = None,
    chunk_ms: Annotated[int, typer.Option(min=20, max=10_000, help="Length of a chunk, ms.")] = 500,
    speed: Annotated[
        str,
        typer.Option(
            metavar="1|N|max",
            help="1: real time. N: N times as fast. max: as fast as Kafka takes it. With a number all files play at "
            "the same time, as live calls do (at most 100; the others follow); with max one after the other.",
        ),
    ] = "1",
    calls: Annotated[
        int,
        typer.Option(min=1, max=100_000, help="Play each file as N concurrent calls, NAME-0001 and so on, for load."),
    ] = 1,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Serve /metrics, /healthz and /readyz on 127.0.0.1:PORT.", show_default=False
        ),
    ] = None,
    traceparent: Annotated[
        str | None,
        typer.Option(
            "--traceparent",
            help="W3C Trace Context of all chunks, which their events carry on. Else TRACEPARENT.",
            show_default=False,
        ),
    ] = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Send audio to Kafka as live calls: one stream per channel, paced like speech.

    A stereo file is a call of two people: agent left, customer right,
    unless --channels says otherwise. Other sample rates are resampled to 8
    or 16 kHz. Files that are damaged or empty are reported and left out; the
    others go through, and the command ends with 1. Ctrl-C ends the streams
    where they are.

    Examples:

        undertone produce call.wav

        undertone produce recordings/ --speed max

        arecord -t raw -f S16_LE -r 16000 | undertone produce - --rate 16000

        undertone produce call.wav --calls 200 --encoding pcmu --chunk-ms 250
    """
    from rich.console import Console

    from producer.playback import PlaybackOptions
    from producer.service import ProduceRequest, parse_speed, trace_of
    from producer.service import produce as run
    from undertone.messaging.settings import KafkaSettings

    request = ProduceRequest(
        paths=paths,
        call_id=call_id,
        calls=calls,
        rate=None if rate is None else (8000 if rate is WireRate.NARROW else 16000),
        options=PlaybackOptions(
            Encoding(encoding.value), chunk_ms, parse_speed(speed), channels, trace_of(traceparent)
        ),
        metrics_port=metrics_port,
    )
    settings = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    raise typer.Exit(run(request, settings, Console()))
