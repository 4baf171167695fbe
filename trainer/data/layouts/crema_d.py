"""CREMA-D: 91 actors of many accents, six emotions (Cao et al. 2014)."""

import csv
import re
from functools import cache
from pathlib import Path

from trainer.data.layouts.layout import FOLDER, Fields, FileLabels, Layout

_EMOTIONS = {
    "ANG": "angry",
    "DIS": "disgust",
    "FEA": "fearful",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
_INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high"}


def _read(name: Fields, path: Path) -> FileLabels:
    return FileLabels(
        _EMOTIONS[name["emotion"]],
        name["actor"],
        _genders(path.parent).get(name["actor"], ""),
        _INTENSITIES.get(name["intensity"], ""),
        name["statement"],
    )


@cache
def _genders(folder: Path) -> dict[str, str]:
    """Sex by actor from VideoDemographics.csv, which the published set keeps beside the folder of its audio."""
    for place in (folder, folder.parent):
        table = place / "VideoDemographics.csv"
        if table.is_file():
            with table.open(newline="", encoding="utf-8-sig") as file:
                return {row.get("ActorID", ""): row.get("Sex", "").lower() for row in csv.DictReader(file)}
    return {}


LAYOUT = Layout(
    "crema-d",
    "ODbL 1.0",
    "https://github.com/CheyneyComputerScience/CREMA-D",
    "English (North American)",
    re.compile(
        FOLDER + r"(?P<actor>1[0-9]{3})_(?P<statement>[A-Z]{3})_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)"
        r"_(?P<intensity>LO|MD|HI|XX|X)"
    ),
    _read,
)
