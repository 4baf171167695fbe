"""A call leaves the reports of the runs that were trained with it.

Reports do not name calls. What they have of one (the sound that looks wrongly labelled, the picture of an example) is
on a line of its own, with the path of its audio in it, in which call and channel stand as their hashes.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from schemas.errors import UserError
from trainer.collection.dataset import Dataset, hash_of

RUNS = "runs"
_BY_LINE = {".csv", ".html", ".txt"}
_FORGOTTEN = "forgotten"


def folders(dataset: Dataset, out: Path | None) -> list[Path]:
    """Where runs of a dataset may lie: in the trainer's folder, and beside the dataset, where it is by default."""
    beside = [dataset.store.folder.parent] if dataset.store.folder else []
    given = [out] if out else []
    return sorted({place.resolve() / RUNS for place in (*given, *beside) if (place / RUNS).is_dir()})


def erase(runs: Iterable[Path], key: str) -> int:
    """Take a call or a stream out of all reports of these folders. Returns how many files were rewritten.

    Raises:
        UserError: one of them cannot be.
    """
    call_id, _, channel = key.partition("/")
    mark = f"{hash_of(call_id)}/{hash_of(channel)}" if channel else hash_of(call_id)
    files = [path for folder in runs for path in folder.glob("*/*") if path.suffix in {*_BY_LINE, ".json"}]
    return sum(_rewrite(path, mark) for path in files)


def _rewrite(path: Path, mark: str) -> bool:
    try:
        text = path.read_text(encoding="utf-8")
        if mark not in text:
            return False
        if path.suffix in _BY_LINE:
            left = "".join(line for line in text.splitlines(keepends=True) if mark not in line)
        else:
            left = text.replace(mark, _FORGOTTEN)
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        draft.write_text(left, encoding="utf-8")
        draft.replace(path)
    except FileNotFoundError:
        return False  # a run that the trainer has just deleted
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be rewritten without the call ({error})") from None
    return True
