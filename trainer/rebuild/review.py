"""The labels of a training that people should look at again."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from trainer.data.snapshot_folders import CORPUS, MANIFEST, is_snapshot
from trainer.options import TrainingOptions, choose_start
from trainer.rebuild.label_noise import find_noise, spectra
from trainer.report.review import Doubted, Review
from trainer.train import Outcome
from trainer.training.embedding import embed
from trainer.training.network import restored


def review_of(outcome: Outcome, options: TrainingOptions) -> Review | None:
    """What people said that looks wrong; None where the data hold no labels of people."""
    dataset = outcome.dataset
    rows = [row for row, utterance in enumerate(dataset.utterances) if utterance.corpus == CORPUS]
    if not rows:
        return None
    clips = dataset.clips(rows)
    start, _ = choose_start(options, outcome.labelled)
    features = spectra(clips)
    if start:
        features = np.hstack([features, embed(restored(start.shape, start.weights), clips).reshape(len(clips), -1)])
    noise = find_noise(
        features, [dataset.utterances[row].emotion for row in rows], [dataset.groups[row] for row in rows]
    )
    if noise is None:
        return Review()
    known = _known(options.data)
    found = []
    for doubt in noise.doubts:
        utterance = dataset.utterances[rows[doubt.row]]
        label = known.get(utterance.path, {})
        event = label.get("event_id", "")
        found.append(
            Doubted(
                said=utterance.emotion,
                looks_like=doubt.looks_like,
                said_probability=f"{doubt.said_probability:.2f}",
                other_probability=f"{doubt.other_probability:.2f}",
                votes=label.get("votes", ""),
                people=label.get("people", ""),
                event_id=event,
                stream=label.get("speaker", ""),
                model_version=label.get("model_version", ""),
                listen=f"undertone audio {event} --output {event}.wav" if event else "",
                audio=os.path.normpath(utterance.path),
            )
        )
    return Review(found, noise.found, noise.judged, noise.agreement)


def _known(data: Iterable[Path]) -> dict[Path, dict[str, str]]:
    """What the snapshots among the data know of each file, beside its emotion."""
    found: dict[Path, dict[str, str]] = {}
    for folder in data:
        if is_snapshot(folder):
            with (folder / MANIFEST).open(newline="", encoding="utf-8") as file:
                found |= {folder / row["path"]: row for row in csv.DictReader(file)}
    return found
