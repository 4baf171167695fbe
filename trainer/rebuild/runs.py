"""Runs on disk: a folder for each, which counts once its decision is written.

    runs/20261129T113000Z-3f2a/
        job.json       what was asked for
        champion.zip   the model that it is compared with
        log.txt        what the training said
        model.zip, report.html, metrics.json, ...   as `undertone train` leaves them
        review.csv     labels that look wrong, for people to look at
        gate.json      the checks; written by the training process as its last act
        decision.json  what became of it; last of all

A folder without a decision is one of a run that was killed: the next run deletes it.
"""

import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from schemas.errors import UserError
from trainer.collection.reports import RUNS
from trainer.rebuild.checks import Bounds, Check

JOB, CHAMPION, LOG, GATE, DECISION = "job.json", "champion.zip", "log.txt", "gate.json", "decision.json"
_SINCE = "since.txt"
# Older ones are deleted: a report is some 2 MB.
_KEPT = 50


class Job(BaseModel):
    """What the training process is to do."""

    model_config = ConfigDict(frozen=True)

    data: tuple[Path, ...]
    name: str = "emotions"
    seed: int = 0
    epochs: int | None = None
    start: str | None = None
    prior: str | None = None
    label_weight: float = 1.0
    accept_new_labels: bool = False
    bounds: Bounds = Bounds()
    nice: int = 10


class Verdict(BaseModel):
    """What the training process has found: the candidate's version, the gate's checks, how many labels look wrong."""

    model_config = ConfigDict(frozen=True)

    version: str
    checks: tuple[Check, ...]
    to_review: int = 0

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that the candidate did not pass."""
        return tuple(dict.fromkeys(check.name for check in self.checks if check.passed is False))


class What(StrEnum):
    """What becomes of a run; also the `decision` label of the counter."""

    PUBLISHED = "published"
    """It is the champion."""
    NOMINATED = "nominated"
    """It is the challenger: its labels are others, and a person has not said yet that they may be."""
    REFUSED = "refused"
    """A check has failed."""
    UNCHANGED = "unchanged"
    """It is the champion already."""
    OUTDATED = "outdated"
    """A call was forgotten, or the champion changed, while it was trained."""
    FAILED = "failed"
    """The data cannot be trained on."""
    CRASHED = "crashed"
    """The training process ended without a word: it is tried again."""

    @property
    def keeps_up(self) -> bool:
        """Whether the champion is what the labels make of it."""
        return self in (What.PUBLISHED, What.UNCHANGED)


class Decision(BaseModel):
    """What became of a run, and why.

    labels: sounds that people had labelled, in its snapshot. to_review: those that look wrong.
    """

    model_config = ConfigDict(frozen=True)

    what: What
    why: str
    started: AwareDatetime
    seconds: float
    labels: int = 0
    snapshot: str = ""
    champion: str = ""
    candidate: str = ""
    to_review: int = 0
    checks: tuple[Check, ...] = ()


class Runs:
    """The runs of one `--out` folder.

    Raises:
        UserError: it cannot be written.
    """

    def __init__(self, out: Path) -> None:
        self._folder = out / RUNS
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--out {out}: cannot be written ({error.strerror})") from None

    def since(self, now: datetime) -> datetime:
        """When a trainer first came here. It counts as a run while there was none, however often it is started anew."""
        mark = self._folder.parent / _SINCE
        try:
            return datetime.fromisoformat(mark.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            mark.write_text(now.isoformat(), encoding="utf-8")
            return now

    def begin(self, started: datetime) -> Path:
        """A folder for a new run. To be called by the holder of the lease: it deletes what killed ones have left."""
        done = [folder for folder, _ in self.done()]
        for folder in self._folders():
            if folder not in done[-_KEPT:]:
                shutil.rmtree(folder, ignore_errors=True)
        folder = self._folder / f"{started.astimezone(UTC):%Y%m%dT%H%M%SZ}-{uuid4().hex[:4]}"
        folder.mkdir()
        return folder

    def done(self) -> Iterator[tuple[Path, Decision]]:
        """All that have ended, the oldest first."""
        for folder in self._folders():
            try:
                yield folder, Decision.model_validate_json((folder / DECISION).read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, ValidationError):
                raise UserError(f"{folder / DECISION} cannot be read; delete the folder") from None

    def last(self) -> Decision | None:
        """What became of the newest."""
        return max((decision for _, decision in self.done()), key=lambda one: one.started, default=None)

    def last_good(self) -> datetime | None:
        """When the newest began that came to a decision about a model."""
        good = {What.PUBLISHED, What.NOMINATED, What.REFUSED, What.UNCHANGED}
        return max((one.started for _, one in self.done() if one.what in good), default=None)

    def _folders(self) -> list[Path]:
        return sorted(path for path in self._folder.iterdir() if path.is_dir())


def clear(folder: Path) -> None:
    """Delete what a run has made of its data, where those are to be forgotten; what it was asked for stays."""
    for path in folder.iterdir():
        if path.is_file() and path.name not in {JOB, CHAMPION}:
            path.unlink()


def write_whole(path: Path, content: BaseModel) -> None:
    """Write JSON that is there whole or not at all."""
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    draft.write_text(json.dumps(content.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    draft.replace(path)
