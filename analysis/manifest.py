"""Manifests of labelled files: CSV with the columns path (relative to the manifest), emotion and speaker."""

import csv
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
        UserError: missing, not UTF-8 text, not CSV, a column missing, no rows, or a row without path or emotion.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise UserError(
                    f"{path}: no column {', '.join(missing)}; the first line must name {', '.join(COLUMNS)}"
                )
            rows = [_row(path, reader.line_num, row) for row in reader]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a CSV file in UTF-8") from error
    except csv.Error as error:
        raise UserError(f"{path}: not a CSV file ({error})") from error
    if not rows:
        raise UserError(f"{path}: no rows below the header")
    return rows


def _row(manifest: Path, line: int, row: dict[str, str | None]) -> Labelled:
    file, emotion, speaker = ((row[name] or "").strip() for name in COLUMNS)
    if not file or not emotion:
        raise UserError(f"{manifest}, line {line}: no {'path' if not file else 'emotion'}")
    return Labelled(manifest.parent / file, emotion.lower(), speaker)
