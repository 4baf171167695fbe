"""RAVDESS: 24 actors of North America, eight emotions (Livingstone and Russo 2018)."""

import re
from pathlib import Path

from trainer.data.layouts.layout import FOLDER, Fields, FileLabels, Layout

# The actors of the five folds, as published with cristinalunaj/MMEmotionRecognition and used since.
FOLDS = (
    ("02", "05", "14", "15", "16"),
    ("03", "06", "07", "13", "18"),
    ("10", "11", "12", "19", "20"),
    ("08", "17", "21", "23", "24"),
    ("01", "04", "09", "22"),
)
_EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}


def _read(name: Fields, path: Path) -> FileLabels | None:
    if name["channel"] != "01":
        return None
    return FileLabels(
        _EMOTIONS[name["emotion"]],
        name["actor"],
        "male" if int(name["actor"]) % 2 else "female",
        {"01": "normal", "02": "strong"}[name["intensity"]],
        name["statement"],
    )


LAYOUT = Layout(
    "ravdess",
    "CC BY-NC-SA 4.0",
    "https://doi.org/10.5281/zenodo.1188976",
    "English (North American)",
    re.compile(
        FOLDER + r"0[123]-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])-(?P<statement>0[12])"
        r"-0[12]-(?P<actor>[0-9]{2})"
    ),
    _read,
)
