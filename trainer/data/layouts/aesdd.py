"""AESDD: six actors, five emotions without neutral, Greek (Vryzas et al. 2018)."""

import re
from pathlib import Path

from trainer.data.layouts.layout import FOLDER, Fields, FileLabels, Layout

_EMOTIONS = {"a": "angry", "d": "disgust", "f": "fearful", "h": "happy", "s": "sad"}


def _read(name: Fields, path: Path) -> FileLabels:
    return FileLabels(_EMOTIONS[name["emotion"]], f"s{name['speaker']}", "", "", name["statement"])


LAYOUT = Layout(
    "aesdd",
    "CC BY 4.0",
    "https://m3c.web.auth.gr/research/aesdd-speech-emotion-recognition/",
    "Greek",
    # As published "a01 (1)", and "a06 (5)b" for a second take; many copies write "a01_1".
    re.compile(
        FOLDER + r"(?P<emotion>[adfhs])(?P<statement>[0-9]{2})(?: ?\(|_)(?P<speaker>[1-6])(?:\)? ?|_)(?P<take>[ab])?"
    ),
    _read,
)
