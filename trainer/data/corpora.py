"""Labelled speech from disk: corpora in their published layouts, and anybody's CSV.

A path is a CSV manifest, a folder with a `manifest.csv`, or a folder whose files carry a corpus's names. Nothing here
knows the set of emotions; a manifest's labels are taken as they are.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from schemas.card import TrainingData
from schemas.errors import UserError
from schemas.events import NO_SPEECH, UNCERTAIN
from trainer.data.layouts import BY_NAME, UNKNOWN_LICENCE, recognise
from trainer.data.snapshot_folders import MANIFEST, is_dataset, newest_snapshot
from undertone.acoustics.decode import SUFFIXES
from undertone.analysis.manifest import COLUMNS, read_rows

# As in the model card: a label is a word or a few, and becomes a key in every event.
_LABEL = re.compile(r"[a-z][a-z0-9 _-]{0,39}")
_RESERVED = {UNCERTAIN, NO_SPEECH}


@dataclass(frozen=True, slots=True)
class Utterance:
    """One labelled file. `speaker` carries its corpus (`ravdess/01`), so equal names in two corpora stay two people."""

    path: Path
    emotion: str
    speaker: str
    corpus: str
    gender: str = ""
    intensity: str = ""
    statement: str = ""
    language: str = ""


@dataclass(slots=True)
class LabelledSpeech:
    """What was found: utterances, licences that manifests state, counted warnings, a line for each unreadable file."""

    utterances: list[Utterance] = field(default_factory=list)
    licences: dict[str, str] = field(default_factory=dict)
    warnings: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    @property
    def labels(self) -> tuple[str, ...]:
        """All emotions, sorted."""
        return tuple(sorted({utterance.emotion for utterance in self.utterances}))

    @property
    def speakers(self) -> tuple[str, ...]:
        """All speakers, sorted."""
        return tuple(sorted({utterance.speaker for utterance in self.utterances}))

    def training_data(self, used: Iterable[Utterance] | None = None) -> tuple[TrainingData, ...]:
        """A model card's entry for each corpus: of all utterances, or of those that were `used`."""
        by_corpus: dict[str, list[Utterance]] = {}
        for utterance in self.utterances if used is None else used:
            by_corpus.setdefault(utterance.corpus, []).append(utterance)
        return tuple(
            TrainingData(
                corpus=corpus,
                utterances=len(rows),
                speakers=len({row.speaker for row in rows}),
                licence=self.licences.get(corpus) or (layout.licence if layout else UNKNOWN_LICENCE),
                url=layout.url if layout else "",
            )
            for corpus, rows in sorted(by_corpus.items())
            for layout in [BY_NAME.get(corpus)]
        )


def load(paths: Iterable[Path]) -> LabelledSpeech:
    """Read every labelled utterance under `paths`; a file that two of them name counts once.

    Raises:
        UserError: a path that does not exist, a manifest that cannot be read, a folder without labelled speech, fewer
            than two emotions or fewer than two speakers.
    """
    found = LabelledSpeech()
    seen: set[Path] = set()
    for path in paths:
        utterances = list(_read(path, found))
        if not utterances and path.is_dir():
            # Said at once: beside other data, a model would be trained without what this folder was meant to give.
            raise UserError(f"{path}: {_nothing(found)}")
        for utterance in utterances:
            resolved = utterance.path.resolve()
            if resolved in seen:
                found.warnings["files that are listed twice, used once"] += 1
                continue
            seen.add(resolved)
            found.utterances.append(utterance)
    _check(found)
    return found


def _read(path: Path, found: LabelledSpeech) -> Iterator[Utterance]:
    if path.is_file():
        if path.suffix.lower() != ".csv":
            raise UserError(f"{path}: not a CSV manifest or a folder; give a CSV with the columns {', '.join(COLUMNS)}")
        return _manifest(path, found)
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder")
    return _folder(path, found)


def _folder(folder: Path, found: LabelledSpeech) -> Iterator[Utterance]:
    """A dataset's newest snapshot; else a folder's manifest, or its files by their names and its subfolders alike."""
    if is_dataset(folder):
        yield from _manifest(newest_snapshot(folder) / MANIFEST, found)
        return
    manifest = folder / "manifest.csv"
    if manifest.is_file():
        if _has_emotions(manifest):
            yield from _manifest(manifest, found)
        else:
            found.warnings["folders whose manifest.csv has no emotions, left out"] += 1
        return
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.name.startswith("."):
            yield from _folder(entry, found)
        elif entry.suffix.lower() in SUFFIXES and not entry.name.startswith("."):
            yield from _published(entry, found)


def _published(path: Path, found: LabelledSpeech) -> Iterator[Utterance]:
    match recognise(path):
        case None:
            found.warnings["audio files whose names no known corpus uses, left out"] += 1
        case _, None:
            found.warnings["files of a corpus that are no spoken emotion, as songs, left out"] += 1
        case layout, clip:
            speaker = f"{layout.name}/{clip.speaker}"
            said = (clip.gender, clip.intensity, clip.statement, layout.language)
            yield Utterance(path, clip.emotion, speaker, layout.name, *said)


def _manifest(manifest: Path, found: LabelledSpeech) -> Iterator[Utterance]:
    # A folder's manifest is named after the folder, any other after itself.
    default = manifest.parent.resolve().name if manifest.stem == "manifest" else manifest.stem
    for line, fields in read_rows(manifest):
        if utterance := _utterance(manifest, line, fields, default, found):
            yield utterance


def _utterance(
    manifest: Path, number: int, fields: dict[str, str], default: str, found: LabelledSpeech
) -> Utterance | None:
    if not all(fields[column] for column in COLUMNS):
        found.warnings["rows without a path, an emotion or a speaker, left out"] += 1
        return None
    emotion = fields["emotion"].lower()
    if not _LABEL.fullmatch(emotion) or emotion in _RESERVED:
        raise UserError(
            f"{manifest}, line {number}: emotion {emotion[:50]!r}: want a word of letters, digits, spaces, _ or -, "
            f"at most 40, and not {' or '.join(sorted(_RESERVED))}"
        )
    path = manifest.parent / fields["path"]
    if not path.is_file():
        found.warnings["files that a manifest names but that do not exist, left out"] += 1
        return None
    # A corpus may come with a manifest of its own; its file names still tell which corpus it is.
    known = recognise(path)
    corpus = fields.get("corpus") or (known[0].name if known else default)
    if licence := fields.get("licence") or fields.get("license"):
        found.licences[corpus] = licence
    return Utterance(
        path,
        emotion,
        f"{corpus}/{fields['speaker']}",
        corpus,
        fields.get("gender", "").lower(),
        fields.get("intensity", ""),
        fields.get("statement", ""),
        fields.get("language", "").lower() or (known[0].language if known else ""),
    )


def _has_emotions(manifest: Path) -> bool:
    """Whether a manifest labels emotions: other collections (of noises, of words) have manifests too."""
    try:
        with manifest.open(encoding="utf-8-sig") as file:
            return "emotion" in file.readline().lower()
    except (OSError, UnicodeDecodeError):
        return True  # reading it will say what is wrong


def _nothing(found: LabelledSpeech) -> str:
    seen = "; ".join(f"{what}: {count}" for what, count in found.warnings.items())
    return f"no labelled speech found{f' ({seen})' if seen else ''}; see `undertone train --help`"


def _check(found: LabelledSpeech) -> None:
    if not found.utterances:
        raise UserError(_nothing(found))
    if len(found.labels) < 2:
        raise UserError(f"every utterance is labelled {found.labels[0]!r}: a model needs at least two emotions")
    if len(found.speakers) < 2:
        raise UserError(
            f"every utterance is of one speaker ({found.speakers[0]}): at least two are needed, because a model is "
            "tested on speakers that it was not trained on"
        )
