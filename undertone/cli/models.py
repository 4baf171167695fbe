"""`undertone models`: look at a model bundle, and check that it can be trusted and run."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
models = typer.Typer(no_args_is_help=True)
app.add_typer(models, name="models", help="Look at a model bundle, or check it.")

Bundle = Annotated[
    Path | None, typer.Argument(metavar="[BUNDLE]", help="A bundle; the one that ships by default.", show_default=False)
]


class CardFormat(StrEnum):
    """How a card is printed."""

    TABLE = "table"
    MARKDOWN = "markdown"


@models.command()
def show(
    bundle: Bundle = None,
    format: Annotated[CardFormat, typer.Option("--format", help="For a terminal, or a page.")] = CardFormat.TABLE,
) -> None:
    """Print the model card: which emotions, how well, what it was trained on, and what it may be used for."""
    from rich.console import Console

    from undertone.analysis.card_page import card_page
    from undertone.analysis.inspection import card_table
    from undertone.inference.bundle import DEFAULT_BUNDLE, read_bundle

    card = read_bundle(bundle or DEFAULT_BUNDLE).card
    if format is CardFormat.MARKDOWN:
        typer.echo(card_page(card), nl=False)
    else:
        Console().print(card_table(card))


@models.command()
def check(bundle: Bundle = None) -> None:
    """Check sizes, checksum, ops and signatures, and run the network at every batch size.

    Exits with 2 and one line where something is wrong.
    """
    from rich.console import Console

    from undertone.analysis.inspection import check_bundle
    from undertone.inference.bundle import DEFAULT_BUNDLE

    console = Console()
    for line in check_bundle(bundle or DEFAULT_BUNDLE):
        console.print(f"[green]ok[/]  {line}", highlight=False)
