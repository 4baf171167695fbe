"""The corpora that people train on: how their published file names say emotion and speaker, and their licences.

A file is recognised by its own name, so any folder, or several corpora under one folder, can be read. To add a corpus,
add a `Layout` to `LAYOUTS`.
"""

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Clip:
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
    read: Callable[[Fields, Path], Clip | None]


_FOLDER = r"(?:.*/)?"

_RAVDESS_EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}


def _ravdess(name: Fields, path: Path) -> Clip | None:
    if name["channel"] != "01":
        return None
    return Clip(
        _RAVDESS_EMOTIONS[name["emotion"]],
        name["actor"],
        "male" if int(name["actor"]) % 2 else "female",
        {"01": "normal", "02": "strong"}[name["intensity"]],
        name["statement"],
    )


_CREMA_EMOTIONS = {
    "ANG": "angry",
    "DIS": "disgust",
    "FEA": "fearful",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
_CREMA_INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high"}


def _crema_d(name: Fields, path: Path) -> Clip:
    return Clip(
        _CREMA_EMOTIONS[name["emotion"]],
        name["actor"],
        _crema_genders(path.parent).get(name["actor"], ""),
        _CREMA_INTENSITIES.get(name["intensity"], ""),
        name["statement"],
    )


@cache
def _crema_genders(folder: Path) -> dict[str, str]:
    """Sex by actor from VideoDemographics.csv, which the published set keeps beside the folder of its audio."""
    for place in (folder, folder.parent):
        table = place / "VideoDemographics.csv"
        if table.is_file():
            with table.open(newline="", encoding="utf-8-sig") as file:
                return {row.get("ActorID", ""): row.get("Sex", "").lower() for row in csv.DictReader(file)}
    return {}


_TESS_EMOTIONS = {
    "angry": "angry",
    "disgust": "disgust",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "ps": "surprised",
    "sad": "sad",
}


def _tess(name: Fields, path: Path) -> Clip:
    # One published file of the older actress is named OA_ instead of OAF_.
    speaker = "OAF" if name["speaker"] == "OA" else name["speaker"]
    return Clip(_TESS_EMOTIONS[name["emotion"].lower()], speaker, "female", "", name["statement"])


_SAVEE_EMOTIONS = {
    "a": "angry",
    "d": "disgust",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}


def _savee(name: Fields, path: Path) -> Clip:
    return Clip(_SAVEE_EMOTIONS[name["emotion"]], name["speaker"], "male", "", name["number"])


_EMODB_EMOTIONS = {
    "W": "angry",
    "L": "bored",
    "E": "disgust",
    "A": "fearful",
    "F": "happy",
    "T": "sad",
    "N": "neutral",
}
_EMODB_MEN = {"03", "10", "11", "12", "15"}


def _emodb(name: Fields, path: Path) -> Clip:
    gender = "male" if name["speaker"] in _EMODB_MEN else "female"
    return Clip(_EMODB_EMOTIONS[name["emotion"]], name["speaker"], gender, "", name["statement"])


_NEMO_EMOTIONS = {
    "anger": "angry",
    "fear": "fearful",
    "happiness": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprised": "surprised",
    "surprise": "surprised",
}
_NEMO_MEN = {"KS0", "MP0", "SM0", "TP0", "WR0"}


def _nemo(name: Fields, path: Path) -> Clip:
    gender = "male" if name["speaker"] in _NEMO_MEN else "female"
    return Clip(_NEMO_EMOTIONS[name["emotion"]], name["speaker"], gender, "", name["statement"])


LAYOUTS = (
    Layout(
        "ravdess",
        "CC BY-NC-SA 4.0",
        "https://doi.org/10.5281/zenodo.1188976",
        "English (North American)",
        re.compile(
            _FOLDER + r"0[123]-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])-(?P<statement>0[12])"
            r"-0[12]-(?P<actor>[0-9]{2})"
        ),
        _ravdess,
    ),
    Layout(
        "crema-d",
        "ODbL 1.0",
        "https://github.com/CheyneyComputerScience/CREMA-D",
        "English (North American)",
        re.compile(
            _FOLDER + r"(?P<actor>1[0-9]{3})_(?P<statement>[A-Z]{3})_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)"
            r"_(?P<intensity>LO|MD|HI|XX|X)"
        ),
        _crema_d,
    ),
    Layout(
        "tess",
        "CC BY-NC-ND 4.0",
        "https://doi.org/10.5683/SP2/E8H2MF",
        "English (Canadian)",
        re.compile(
            _FOLDER + r"(?P<speaker>OAF|OA|YAF)_(?P<statement>[A-Za-z]+)"
            r"_(?P<emotion>(?i:angry|disgust|fear|happy|neutral|ps|sad))"
        ),
        _tess,
    ),
    Layout(
        "savee",
        "research only, on registration",
        "http://kahlan.eps.surrey.ac.uk/savee/",
        "English (British)",
        re.compile(_FOLDER + r"(?P<speaker>DC|JE|JK|KL)[_/](?P<emotion>a|d|f|h|n|sa|su)(?P<number>[0-9]{2})"),
        _savee,
    ),
    Layout(
        "emodb",
        "CC0 1.0",
        "https://github.com/audeering/emodb",
        "German",
        re.compile(_FOLDER + r"(?P<speaker>0[389]|1[0-6])(?P<statement>[ab][0-9]{2})(?P<emotion>[WLEAFTN])[a-z]?"),
        _emodb,
    ),
    Layout(
        "nemo",
        "CC BY-NC-SA 4.0",
        "https://github.com/amu-cai/nEMO",
        "Polish",
        re.compile(
            _FOLDER + r"(?P<speaker>[A-Z]{2}[0-9])"
            r"_(?P<emotion>anger|fear|happiness|neutral|sadness|surprised?)_(?P<statement>[0-9]+)"
        ),
        _nemo,
    ),
)
BY_NAME = {layout.name: layout for layout in LAYOUTS}
UNKNOWN_LICENCE = "not stated"

# The actors of RAVDESS's five folds, as published with cristinalunaj/MMEmotionRecognition and used since.
RAVDESS_FOLDS = (
    ("02", "05", "14", "15", "16"),
    ("03", "06", "07", "13", "18"),
    ("10", "11", "12", "19", "20"),
    ("08", "17", "21", "23", "24"),
    ("01", "04", "09", "22"),
)


def recognise(path: Path) -> tuple[Layout, Clip | None] | None:
    """The corpus that a file belongs to by its name, and what the name says; None for a file of no known corpus."""
    name = f"{path.parent.name}/{path.stem}"
    for layout in LAYOUTS:
        if match := layout.pattern.fullmatch(name):
            return layout, layout.read(match.groupdict(), path)
    return None
