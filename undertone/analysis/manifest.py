"""Manifests of labelled files: CSV with the columns path (relative to the manifest), emotion and speaker.

One of calls has the columns call and order too: which files are heard one after the other, as what somebody says in
one call.
"""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import UserError

COLUMNS = ("path", "emotion", "speaker")
CALL_COLUMNS = ("call", "order")


@dataclass(frozen=True, slots=True)
class Labelled:
    """One row: a file, what it sounds like, and who speaks. The emotion is in lower case."""

    path: Path
    emotion: str
    speaker: str


def read_manifest(path: Path) -> list[Labelled]:
    """Read a manifest; other columns are ignored. Whether the files exist is seen when they are read.

    Raises:
        UserError: as `read_rows`; no rows, or a row without path or emotion.
    """
    rows = [_labelled(path, line, fields) for line, fields in read_rows(path)]
    if not rows:
        raise UserError(f"{path}: no rows below the header")
    return rows


@dataclass(frozen=True, slots=True)
class Call:
    """What one speaker says in a call: `rows` in the order in which they are heard."""

    name: str
    rows: tuple[Labelled, ...]


def read_calls(path: Path, *, labelled: bool = True) -> list[Call]:
    """Read a manifest of calls. A row without an emotion is heard and not counted.

    Args:
        labelled: False: the columns emotion and speaker may be missing.

    Raises:
        UserError: as `read_rows`; no rows, a row without path or call, an order that is no number or is there twice.
    """
    calls: dict[str, dict[float, Labelled]] = {}
    for line, fields in read_rows(path, (*(COLUMNS if labelled else COLUMNS[:1]), *CALL_COLUMNS)):
        if not fields["path"] or not fields["call"]:
            raise UserError(f"{path}, line {line}: no {'call' if fields['path'] else 'path'}")
        call, order = calls.setdefault(fields["call"], {}), _order(path, line, fields["order"])
        if order in call:
            raise UserError(f"{path}, line {line}: order {fields['order']} of call {fields['call']} is there twice")
        call[order] = Labelled(
            path.parent / fields["path"], fields.get("emotion", "").lower(), fields.get("speaker", "")
        )
    if not calls:
        raise UserError(f"{path}: no rows below the header")
    return [Call(name, tuple(call[order] for order in sorted(call))) for name, call in calls.items()]


def columns_of(path: Path) -> frozenset[str]:
    """The columns that a manifest names.

    Raises:
        UserError: as `read_rows`.
    """
    for _, fields in read_rows(path, COLUMNS[:1]):
        return frozenset(fields)
    raise UserError(f"{path}: no rows below the header")


def read_rows(path: Path, columns: Sequence[str] = COLUMNS) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, cells by column) of each row; names of columns in lower case, cells stripped, missing ones empty.

    Raises:
        UserError: missing, not UTF-8 text, not CSV, or one of `columns` missing.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
            missing = [name for name in columns if name not in reader.fieldnames]
            if missing:
                raise UserError(
                    f"{path}: no column {', '.join(missing)}; the first line must name {', '.join(columns)}"
                )
            for row in reader:
                # Under None come the cells that no column names.
                yield reader.line_num, {name: (cell or "").strip() for name, cell in row.items() if name is not None}
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a CSV file in UTF-8") from error
    except csv.Error as error:
        raise UserError(f"{path}: not a CSV file ({error})") from error


def _labelled(manifest: Path, line: int, fields: dict[str, str]) -> Labelled:
    file, emotion = fields["path"], fields["emotion"]
    if not file or not emotion:
        raise UserError(f"{manifest}, line {line}: no {'path' if not file else 'emotion'}")
    return Labelled(manifest.parent / file, emotion.lower(), fields["speaker"])


def _order(manifest: Path, line: int, text: str) -> float:
    try:
        order = float(text)
    except ValueError:
        order = math.nan
    if not math.isfinite(order):
        raise UserError(f"{manifest}, line {line}: order {text[:50]!r} is no number")
    return order
