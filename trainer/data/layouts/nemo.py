"""nEMO: nine actors, six emotions, Polish (Christop 2024)."""

import re
from pathlib import Path

from trainer.data.layouts.layout import FOLDER, Fields, FileLabels, Layout

_EMOTIONS = {
    "anger": "angry",
    "fear": "fearful",
    "happiness": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprised": "surprised",
    "surprise": "surprised",
}
_MEN = {"KS0", "MP0", "SM0", "TP0", "WR0"}


def _read(name: Fields, path: Path) -> FileLabels:
    gender = "male" if name["speaker"] in _MEN else "female"
    return FileLabels(_EMOTIONS[name["emotion"]], name["speaker"], gender, "", name["statement"])


LAYOUT = Layout(
    "nemo",
    "CC BY-NC-SA 4.0",
    "https://github.com/amu-cai/nEMO",
    "Polish",
    re.compile(
        FOLDER + r"(?P<speaker>[A-Z]{2}[0-9])"
        r"_(?P<emotion>anger|fear|happiness|neutral|sadness|surprised?)_(?P<statement>[0-9]+)"
    ),
    _read,
)
