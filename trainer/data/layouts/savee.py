"""SAVEE: four men of Surrey, seven emotions (Haq and Jackson 2009)."""

import re
from pathlib import Path

from trainer.data.layouts.layout import FOLDER, Fields, FileLabels, Layout

_EMOTIONS = {
    "a": "angry",
    "d": "disgust",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}


def _read(name: Fields, path: Path) -> FileLabels:
    return FileLabels(_EMOTIONS[name["emotion"]], name["speaker"], "male", "", name["number"])


LAYOUT = Layout(
    "savee",
    "research only, on registration",
    "http://kahlan.eps.surrey.ac.uk/savee/",
    "English (British)",
    re.compile(FOLDER + r"(?P<speaker>DC|JE|JK|KL)[_/](?P<emotion>a|d|f|h|n|sa|su)(?P<number>[0-9]{2})"),
    _read,
)
