"""What a layout is: how the file names of one published corpus say emotion and speaker, and its licence."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Fields = Mapping[str, str]

# A pattern begins with it where any folder may stand before the name.
FOLDER = r"(?:.*/)?"


@dataclass(frozen=True, slots=True)
class FileLabels:
    """What a file name says. `speaker` is the corpus's own name for the speaker."""

    emotion: str
    speaker: str
    gender: str = ""
    intensity: str = ""
    statement: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """One corpus: the names of its files, what they say, and under which terms they may be used.

    `pattern` must match the whole of `folder/stem`; `read` gives None for files that are in the published set but are
    no emotional speech (RAVDESS's songs).
    """

    name: str
    licence: str
    url: str
    language: str
    pattern: re.Pattern[str]
    read: Callable[[Fields, Path], FileLabels | None]
