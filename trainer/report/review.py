"""Labels for people to look at again, as a section of the page and as a CSV.

Each line of either that is about a call has the path of its audio, by which `undertone labels forget` finds it.
"""

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from schemas.errors import UserError
from trainer.report.files import REVIEW


@dataclass(frozen=True, slots=True)
class Doubted:
    """A label that looks wrong.

    votes, people: how many of those who labelled the sound said so. stream: call and channel. listen: a command.
    """

    said: str
    looks_like: str
    said_probability: str
    other_probability: str
    votes: str
    people: str
    event_id: str
    stream: str
    model_version: str
    listen: str
    audio: str


@dataclass(frozen=True, slots=True)
class Review:
    """The worst of the labels that look wrong; how many do in all, of how many, and how far to trust that.

    agreement: share of the labels with which the prediction agrees. judged: 0 where there are too few to tell.
    """

    rows: Sequence[Doubted] = ()
    found: int = 0
    judged: int = 0
    agreement: float = 0.0


def write_review(review: Review, folder: Path) -> None:
    """Write the list as CSV, its header alone where there is nothing in it.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        with (folder / REVIEW).open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(field.name for field in fields(Doubted))
            rows.writerows(astuple(row) for row in review.rows)
    except OSError as error:
        raise UserError(f"{folder}: cannot write the results there ({error.strerror})") from None
