"""`undertone models`: look at model bundles and check them, and choose the one that workers run."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undertone.cli.options import BootstrapServers

if TYPE_CHECKING:
    from undertone.messaging.settings import KafkaSettings

app = typer.Typer()
models = typer.Typer(no_args_is_help=True)
app.add_typer(models, name="models", help="Look at models, check them, and choose the one that workers run.")

Bundle = Annotated[
    Path | None, typer.Argument(metavar="[BUNDLE]", help="A bundle; the one that ships by default.", show_default=False)
]
Model = Annotated[
    str,
    typer.Argument(
        metavar="VERSION",
        help="A version on the topic models, or an alias: champion, challenger, previous.",
        show_default=False,
    ),
]
By = Annotated[
    str | None,
    typer.Option("--by", help="Who is to be named as the one who did it. Default: user@host.", show_default=False),
]


class CardFormat(StrEnum):
    """How a card is printed."""

    TABLE = "table"
    MARKDOWN = "markdown"


@models.command("list")
def list_(bootstrap_servers: BootstrapServers = None) -> None:
    """Every version on the topic models, the newest first, and who made which one the champion, when.

    UAR and ECE are those of the card, on its own held-out speakers.
    """
    from rich.console import Console

    from undertone.analysis.registry_tables import list_tables
    from undertone.messaging.settings import KafkaSettings
    from undertone.registry.contents import read_contents

    Console().print(list_tables(read_contents(KafkaSettings.load(bootstrap_servers=bootstrap_servers))))


@models.command()
def show(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[BUNDLE|VERSION]",
            help="A bundle's file, or a version or an alias on the topic models; the bundle that ships by default.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[CardFormat, typer.Option("--format", help="For a terminal, or a page.")] = CardFormat.TABLE,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Print the model card: which emotions, how well, what it was trained on, and what it may be used for."""
    from rich.console import Console

    from undertone.analysis.card_page import card_page
    from undertone.analysis.inspection import card_table
    from undertone.analysis.registry_tables import entry_tables
    from undertone.messaging.settings import KafkaSettings
    from undertone.registry.choice import chosen

    choice = chosen(model, KafkaSettings.load(bootstrap_servers=bootstrap_servers))
    if format is CardFormat.MARKDOWN:
        typer.echo(card_page(choice.card), nl=False)
        return
    console = Console()
    console.print(card_table(choice.card))
    if choice.contents and choice.entry:
        console.print(entry_tables(choice.contents, choice.entry))


@models.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A bundle's file, a version, or an alias.", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="The one to compare with it.", show_default=False)],
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Two model cards side by side: emotions, training data, size, and each figure with the difference.

    Figures are those of each card, on its own held-out speakers. undertone evaluate, with the same files for both,
    compares like with like.
    """
    from rich.console import Console

    from undertone.analysis.registry_tables import compare_tables
    from undertone.messaging.settings import KafkaSettings
    from undertone.registry.choice import chosen

    settings = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    Console().print(compare_tables(chosen(a, settings).card, chosen(b, settings).card))


@models.command()
def promote(version: Model, by: By = None, bootstrap_servers: BootstrapServers = None) -> None:
    """Make a version the champion: all workers take it up within seconds, each at its calls' next utterances.

    It is tried here first. What workers ran until now becomes the previous one, and rollback returns to it.
    """
    from undertone.messaging.settings import KafkaSettings
    from undertone.registry.changes import promote as run
    from undertone.registry.changes import whoever

    settings = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    moved = run(settings, version, by or whoever())
    typer.echo(f"champion: {moved.champion}, before: {moved.before}")
    _tell_mlflow(settings)


@models.command()
def canary(
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="A version, or an alias.", show_default=False)
    ] = None,
    share: Annotated[
        str | None,
        typer.Option(
            "--share",
            help="Of the calls, as 5% or 0.05; 0 for none: workers with UNDERTONE_SHADOW_SHARE try it unseen.",
            show_default=False,
        ),
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Take its calls away; it stays the challenger.")] = False,
    by: By = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Give a share of the calls to a version, which becomes the challenger; the champion has the others.

    Which calls those are follows from their ids, and each keeps its model whatever crashes. models list shows the
    share, promote challenger gives it all calls.
    """
    from schemas.errors import UserError
    from undertone.messaging.settings import KafkaSettings
    from undertone.registry.changes import canary as run
    from undertone.registry.changes import parse_share, stop_canary, whoever

    settings = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    if stop:
        if version or share:
            raise UserError("--stop takes neither a version nor a share")
        typer.echo(f"stopped: {stop_canary(settings, by or whoever())} has no calls any more")
    elif version and share:
        part = parse_share(share)
        typer.echo(f"challenger: {run(settings, version, part, by or whoever())}, with {part:.3g} of the calls")
    else:
        raise UserError("which version, and what share of the calls? As in: undertone models canary VERSION --share 5%")
    _tell_mlflow(settings)


@models.command()
def rollback(by: By = None, bootstrap_servers: BootstrapServers = None) -> None:
    """Make the previous version the champion again. A second rollback undoes the first."""
    from undertone.messaging.settings import KafkaSettings
    from undertone.registry.changes import rollback as run
    from undertone.registry.changes import whoever

    settings = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    moved = run(settings, by or whoever())
    typer.echo(f"champion: {moved.champion}, before: {moved.before}")
    _tell_mlflow(settings)


@models.command()
def retire(version: Model, bootstrap_servers: BootstrapServers = None) -> None:
    """Withdraw a version from the topic models; what workers run is refused.

    Utterances that a worker has begun with it end with it, unless the worker is restarted meanwhile.
    """
    from undertone.messaging.settings import KafkaSettings
    from undertone.registry.changes import retire as run

    settings = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    retired, aliases = run(settings, version)
    typer.echo(f"retired: {retired}" + (f", no longer {', '.join(aliases)}" if aliases else ""))
    _tell_mlflow(settings)


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


@models.command()
def sign(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle's file.", show_default=False)],
    key: Annotated[
        Path | None,
        typer.Option(
            "--model-private-key",
            help="A PEM file with the Ed25519 key to sign with. Else UNDERTONE_MODEL_PRIVATE_KEY.",
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Where the signed bundle goes; else into its place.", show_default=False),
    ] = None,
) -> None:
    """Sign a bundle, so that workers that ask for a signature take it.

    What undertone train --publish sends is signed by itself where UNDERTONE_MODEL_PRIVATE_KEY is set.
    """
    from undertone.registry.signing import sign_file

    typer.echo(f"signed: {sign_file(bundle, key, output)}")


def _tell_mlflow(settings: "KafkaSettings") -> None:
    from trainer.rebuild import tracking

    if fault := tracking.tell(settings):
        typer.echo(f"MLflow is not told of it until the next run: {fault}", err=True)
