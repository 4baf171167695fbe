"""TESS: two actresses of Toronto, seven emotions (Pichora-Fuller and Dupuis 2020)."""

import re
from pathlib import Path

from trainer.data.layouts.layout import FOLDER, Fields, FileLabels, Layout

_EMOTIONS = {
    "angry": "angry",
    "disgust": "disgust",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "ps": "surprised",
    "sad": "sad",
}


def _read(name: Fields, path: Path) -> FileLabels:
    # One published file of the older actress is named OA_ instead of OAF_.
    speaker = "OAF" if name["speaker"] == "OA" else name["speaker"]
    return FileLabels(_EMOTIONS[name["emotion"].lower()], speaker, "female", "", name["statement"])


LAYOUT = Layout(
    "tess",
    "CC BY-NC-ND 4.0",
    "https://doi.org/10.5683/SP2/E8H2MF",
    "English (Canadian)",
    re.compile(
        FOLDER + r"(?P<speaker>OAF|OA|YAF)_(?P<statement>[A-Za-z]+)"
        r"_(?P<emotion>(?i:angry|disgust|fear|happy|neutral|ps|sad))"
    ),
    _read,
)
