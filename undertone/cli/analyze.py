"""`undertone analyze`: the worker's engine on files, without Kafka."""

import contextlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from schemas.audio import Encoding
from schemas.errors import UserError
from undertone.cli.extras import require
from undertone.cli.options import Channels, ClassPrior, Model, WireEncoding, WireRate

app = typer.Typer()


class Format(StrEnum):
    """What to write."""

    TABLE = "table"
    JSONL = "jsonl"
    HTML = "html"


@app.command()
def analyze(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH|-...",
            help="Audio files (WAV, FLAC, MP3, Ogg, ...), directories of them, or - for PCM on standard input.",
            show_default=False,
        ),
    ],
    channels: Channels = None,
    encoding: Annotated[
        WireEncoding,
        typer.Option(help="Code the samples as on a wire; for - also how they come in (l16: little-endian)."),
    ] = WireEncoding.L16,
    rate: Annotated[
        WireRate | None,
        typer.Option(
            help="Sample rate of the streams, Hz. Default: the file's own, else the nearest below. "
            "For -: the rate of what comes in; default 16000, or 8000 with pcmu and pcma.",
            show_default=False,
        ),
    ] = None,
    chunk_ms: Annotated[
        int, typer.Option(min=20, max=10_000, help="Length of a chunk, ms. Events do not depend on it.")
    ] = 500,
    form: Annotated[
        Format, typer.Option("--format", help="Tables, JSON lines as `undertone tail` prints them, or a page.")
    ] = Format.TABLE,
    output: Annotated[
        Path | None, typer.Option(help="Write there instead of standard output.", show_default=False)
    ] = None,
    analyze_agent: Annotated[
        bool, typer.Option("--analyze-agent", help="Analyse agents too: unlawful for employees in some places.")
    ] = False,
    model: Model = None,
    class_prior: ClassPrior = None,
) -> None:
    """Analyse files as a worker would, and show the events.

    The engine, its events and their times are those of `undertone worker`.
    Only customers are analysed unless --analyze-agent is given. Files that
    are damaged or missing are reported and left out; the others go through,
    and the command ends with 1.

    Examples:

        undertone analyze call.wav

        undertone analyze call.wav --format html --output call.html

        undertone analyze recordings/ --format jsonl > events.jsonl
    """
    from rich.console import Console

    from undertone.analysis.analyze import AnalyzeOptions
    from undertone.analysis.analyze import analyze as run
    from undertone.analysis.output import JsonLines, Tables
    from undertone.inference.model import Model as LoadedModel

    if form is Format.HTML:
        require("analysis", "a page needs Plotly and Jinja2", "plotly", "jinja2")
    if form is Format.HTML and output is None and sys.stdout.isatty():
        raise UserError("--format html writes a page: say where, as in --output report.html")
    loaded, errors = LoadedModel.load(model).with_prior(class_prior or "card"), Console(stderr=True)
    options = AnalyzeOptions(
        roles=channels,
        encoding=Encoding(encoding.value),
        rate=None if rate is None else (8000 if rate is WireRate.NARROW else 16000),
        chunk_ms=chunk_ms,
        analyze_agent=analyze_agent,
    )
    with contextlib.ExitStack() as stack:
        try:
            out = stack.enter_context(output.open("w", encoding="utf-8")) if output else sys.stdout
        except OSError as error:
            raise UserError(f"{output}: {error.strerror}") from error
        if form is Format.HTML:
            from undertone.analysis.report import Report

            report = Report(loaded.card, errors, analyze_agent=analyze_agent)
            skipped = run(paths, loaded, options, report)
            out.write(report.page())
        elif form is Format.JSONL:
            skipped = run(paths, loaded, options, JsonLines(out, errors))
        else:
            console = Console(file=out)
            tables = Tables(console, errors, loaded.card.labels, analyze_agent=analyze_agent)
            skipped = run(paths, loaded, options, tables)
    raise typer.Exit(1 if skipped else 0)
