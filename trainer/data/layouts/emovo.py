"""EMOVO: six actors, seven emotions, Italian (Costantini et al. 2014)."""

import re
from pathlib import Path

from trainer.data.layouts.layout import FOLDER, Fields, FileLabels, Layout

_EMOTIONS = {
    "dis": "disgust",
    "gio": "happy",
    "neu": "neutral",
    "pau": "fearful",
    "rab": "angry",
    "sor": "surprised",
    "tri": "sad",
}


def _read(name: Fields, path: Path) -> FileLabels:
    gender = "male" if name["speaker"].startswith("m") else "female"
    return FileLabels(_EMOTIONS[name["emotion"]], name["speaker"], gender, "", name["statement"])


LAYOUT = Layout(
    "emovo",
    "free for research",
    "http://voice.fub.it/activities/corpora/emovo/index.html",
    "Italian",
    re.compile(
        FOLDER + r"(?P<emotion>dis|gio|neu|pau|rab|sor|tri)-(?P<speaker>[fm][123])-(?P<statement>[a-z]{1,4}[0-9]?)"
    ),
    _read,
)
