"""Manifests of labelled files: CSV with the columns path (relative to the manifest), emotion and speaker."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import UserError

COLUMNS = ("path", "emotion", "speaker")


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


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, cells by column) of each row; names of columns in lower case, cells stripped, missing ones empty.

    Raises:
        UserError: missing, not UTF-8 text, not CSV, or a column of COLUMNS missing.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
            missing = [name for name in COLUMNS if name not in reader.fieldnames]
            if missing:
                raise UserError(
                    f"{path}: no column {', '.join(missing)}; the first line must name {', '.join(COLUMNS)}"
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
