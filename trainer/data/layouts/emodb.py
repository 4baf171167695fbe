"""EmoDB of Berlin: ten actors, seven emotions, German (Burkhardt et al. 2005)."""

import re
from pathlib import Path

from trainer.data.layouts.layout import FOLDER, Fields, FileLabels, Layout

_EMOTIONS = {
    "W": "angry",
    "L": "bored",
    "E": "disgust",
    "A": "fearful",
    "F": "happy",
    "T": "sad",
    "N": "neutral",
}
_MEN = {"03", "10", "11", "12", "15"}


def _read(name: Fields, path: Path) -> FileLabels:
    gender = "male" if name["speaker"] in _MEN else "female"
    return FileLabels(_EMOTIONS[name["emotion"]], name["speaker"], gender, "", name["statement"])


LAYOUT = Layout(
    "emodb",
    "CC0 1.0",
    "https://github.com/audeering/emodb",
    "German",
    re.compile(FOLDER + r"(?P<speaker>0[389]|1[0-6])(?P<statement>[ab][0-9]{2})(?P<emotion>[WLEAFTN])[a-z]?"),
    _read,
)
