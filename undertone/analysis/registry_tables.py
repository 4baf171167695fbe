"""The registry for people: which versions there are, who made which one the champion, and two versions side by side."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from schemas.aliases import Alias, AliasChange
from schemas.card import ModelCard
from undertone.registry.contents import Contents, Entry

_CHANGES = 10
# What a row of the list has room for; `show` and `compare` have all figures.
_UAR, _ECE = "heldout_uar", "heldout_ece"
_MOMENT = "%Y-%m-%d %H:%M"


def list_tables(contents: Contents) -> RenderableType:
    """Every version, the newest first, what is wrong with some, and the last changes of the champion."""
    table = Table("version", "alias", "published, UTC", "UAR", "ECE", "trained on", box=box.SIMPLE_HEAD)
    for column in table.columns[:-1]:
        column.no_wrap = column.header != "alias"  # a version may have several, and figures must not be cut for them
    faults = []
    for entry in reversed(contents.entries):
        aliases = contents.state.aliases_of(entry.version)
        published = f"{entry.published:{_MOMENT}}" if entry.published else "ships"
        fault = entry.fault or contents.unsigned(entry)
        if fault:
            faults.append(Text(f"{entry.version} cannot be used: {fault}", style="red"))
        style = "bold" if Alias.CHAMPION in aliases else "red" if fault else None
        cells: Sequence[RenderableType] = _list_cells(entry.card) if entry.card else ()
        table.add_row(Text(entry.version), _named(contents, entry.version), published, *cells, style=style)
    return Group(table, *faults, *_changes(contents))


def entry_tables(contents: Contents, entry: Entry) -> RenderableType:
    """What the registry knows of a version beside its card."""
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_row("alias", _named(contents, entry.version) or "none")
    facts.add_row("published", _moment(entry.published) if entry.published else "it ships")
    if unsigned := contents.unsigned(entry):
        facts.add_row("signature", Text(unsigned, style="red"))
    elif contents.signing.model_public_key and entry.published:
        facts.add_row("signature", "of a trusted key")
    for change in reversed(_champions(contents)):
        if change.version == entry.version:
            facts.add_row("champion", Text(f"{_moment(change.at)} by {change.by} ({change.how or 'not said how'})"))
    return facts


def compare_tables(a: ModelCard, b: ModelCard) -> RenderableType:
    """Two cards side by side: what they are, what they were trained on, and each figure with the difference."""
    facts = Table("", a.version, b.version, box=box.SIMPLE_HEAD)
    for name, left, right in (
        ("created", _moment(a.created), _moment(b.created)),
        ("emotions", *_emotions(a, b)),
        ("trained on", _trained_on(a), _trained_on(b)),
        ("lineage", *(card.lineage.told() if card.lineage else "not stated" for card in (a, b))),
        ("licence", a.licence or "not stated", b.licence or "not stated"),
        ("parameters", f"{a.network.parameters:,}", f"{b.network.parameters:,}"),
        ("arithmetic", a.network.arithmetic, b.network.arithmetic),
        ("size", f"{a.network.size / 1024:.0f} KB", f"{b.network.size / 1024:.0f} KB"),
        ("uncertain below", f"{a.calibration.uncertain_below:g}", f"{b.calibration.uncertain_below:g}"),
    ):
        facts.add_row(name, Text(left), Text(right), style=None if left == right else "bold")
    figures = Table("figure", a.version, b.version, "difference", box=box.SIMPLE_HEAD)
    for name in dict.fromkeys((*a.metrics, *b.metrics)):
        of_a, of_b = a.metrics.get(name), b.metrics.get(name)
        difference = "" if of_a is None or of_b is None else f"{of_b - of_a:+.3g}"
        figures.add_row(name.replace("_", " "), _figure(of_a), _figure(of_b), difference)
    return Group(facts, figures) if figures.row_count else facts


def _named(contents: Contents, version: str) -> str:
    """The aliases of a version, a canary's with its share of the calls."""
    shares = {alias: contents.state.aliases[alias].share for alias in contents.state.aliases_of(version)}
    return ", ".join(f"{alias} {100 * share:g}%" if share else alias for alias, share in shares.items())


def _changes(contents: Contents) -> Iterator[RenderableType]:
    changes = _champions(contents)
    if not changes:
        yield Text("No alias names a champion: workers run the newest bundle that they can use.", style="dim")
        return
    table = Table("champion", "since", "by", "how", box=box.SIMPLE_HEAD)
    for change in changes[:_CHANGES]:
        table.add_row(Text(change.version), _moment(change.at), Text(change.by), Text(change.how))
    yield table


def _champions(contents: Contents) -> list[AliasChange]:
    """What the champion is and was, newest first."""
    record = contents.state.aliases.get(Alias.CHAMPION)
    return [record, *record.history] if record else []


def _list_cells(card: ModelCard) -> tuple[str, str, Text]:
    uar, ece = (f"{card.metrics[name]:.3f}" if name in card.metrics else "" for name in (_UAR, _ECE))
    return uar, ece, Text(", ".join(part.corpus for part in card.training_data))


def _trained_on(card: ModelCard) -> str:
    return ", ".join(f"{part.corpus} ({part.utterances})" for part in card.training_data) or "not stated"


def _emotions(a: ModelCard, b: ModelCard) -> tuple[str, str]:
    """The labels of both; where they differ those that only one has are marked."""
    names = [
        ", ".join(label if label in other.labels else f"{label} (only here)" for label in card.labels)
        for card, other in ((a, b), (b, a))
    ]
    return names[0], names[1]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _moment(when: datetime) -> str:
    return f"{when.astimezone(UTC):{_MOMENT}} UTC"
