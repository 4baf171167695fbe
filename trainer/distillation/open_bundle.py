"""How the bundle for commercial use, `open`, was made, to be run again.

    python -m trainer.distillation.open_bundle --data CREMA-D EmoDB AESDD --noise ESC-10/dog ...
        --unheard-noise ESC-10/rain ... --work FOLDER --out open.zip

Pretraining (pretraining.py) on all of it, but for sixteen speakers of CREMA-D, the strangers. What ships is that very
network, not one more with everybody in it: the strangers say how good it is, and give its temperature.

What is computed is kept in FOLDER; a teacher's output that is there must come from these corpora alone, for the axes of
its frames are theirs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from schemas.card import CalibrationSpec
from trainer.data.clips import Clips
from trainer.data.corpora import load as load_corpora
from trainer.data.dataset import read
from trainer.data.preprocessing import Preprocessing
from trainer.distillation.corpus_clips import CorpusClips
from trainer.distillation.pretraining import (
    PRETRAINING,
    PretrainingData,
    kept,
    rows_by_corpus,
    rows_without,
    say,
    sounds,
    strangers_of,
    with_labels_of,
)
from trainer.distillation.shipping import Expected, Making, heard_in_calls, made, metric, write
from trainer.distillation.teacher_outputs import Teacher
from trainer.training.augmentation import Noises
from trainer.training.calibration import calibrate, cross_fitted_ece
from trainer.training.fit import fit, predict, uar_of
from trainer.training.network import CONTEXT_FRAMES, NetworkShape, restored
from trainer.training.novelty import fit_novelty
from undertone.acoustics.decode import expand

# Its labels are the bundle's, and some of its speakers the strangers.
TESTED_ON = "crema-d"
# 53 minutes of a core that was shared; the loss was still falling.
EPOCHS = 120
# What it expects of calls: more of its six emotions' neutral than the default, which has calm beside it, and the caller
# as the yardstick (docs/research/experiments.md, "Voices unlike those of the calibration").
EXPECTED = Expected(calls={"neutral": 0.95}, caller_weight=0.7, normal={"neutral": 2.0})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--noise", type=Path, nargs="*", default=[], help="sounds that are no speech, to train with")
    parser.add_argument("--unheard-noise", type=Path, nargs="*", default=[], help="sounds to test with alone")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is computed once")
    parser.add_argument("--out", type=Path, required=True, help="the bundle; its weights go beside it")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    how = Preprocessing.default(CONTEXT_FRAMES)
    labelled = with_labels_of(TESTED_ON, load_corpora(options.data))
    dataset = read(labelled, how)
    rows = rows_by_corpus(dataset)
    heard = rows_without(rows, dataset, strangers_of(dataset, rows[TESTED_ON]))
    clips = PretrainingData(dataset, rows, heard, Teacher(options.work)).clips()
    model = trained_on(clips, sounds(options.noise, how), options.work / "open.npz", options.seed)

    strangers = CorpusClips(dataset, np.setdiff1d(rows[TESTED_ON], heard[TESTED_ON]))
    conditions = strangers.conditions(expand(options.unheard_noise), options.seed)
    fit_novelty(model, conditions["clean"], strangers.groups.tolist(), strangers.corpora)
    figures, calibration = tested_on(conditions, strangers.groups, model)
    making = Making(
        model=model,
        probes=conditions["clean"].subset(np.arange(8)),
        labels=dataset.labels,
        drawn=(clips.targets * clips.weights[:, None]).sum(axis=0),
        training_data=labelled.training_data([dataset.utterances[row] for row in np.concatenate([*heard.values()])]),
        reference=strangers.utterances,
        reference_held_out=True,
    )
    bundle = made(making, calibration, EXPECTED, options.out.stem, int8=True)
    groups = strangers.groups.tolist()
    figures |= heard_in_calls(bundle, conditions["clean"], strangers.utterances, groups, options.seed)
    print(json.dumps(figures, indent=1))
    write(bundle, making, figures, options.out)


def trained_on(clips: Clips, noises: Noises, path: Path, seed: int) -> keras.Model:
    """The network whose weights this file holds, or one trained on these clips and kept there."""
    shape = NetworkShape(n_classes=clips.targets.shape[1], dense=112)
    recipe = PRETRAINING.model_copy(update={"epochs": EPOCHS})
    tell = say("training", recipe)
    weights = kept(path, lambda: fit(clips, None, shape, recipe, seed=seed, on_epoch=tell, noises=noises))
    return restored(shape, weights)


def tested_on(
    conditions: Mapping[str, Clips], groups: NDArray[np.str_], model: keras.Model
) -> tuple[dict[str, float], CalibrationSpec]:
    """Figures of clips of strangers, and temperature and threshold from all of them; `groups` says whose they are."""
    predicted = {name: predict(model, clips, (1.0, 2.0)) for name, clips in conditions.items()}
    by_condition = {name: whole for name, (whole, _) in predicted.items()}
    by_condition["after 1 s"], by_condition["after 2 s"] = predicted["clean"][1]
    truth = conditions["clean"]
    labels, logs = truth.targets.argmax(axis=1), np.log(by_condition["clean"] + 1e-9)
    figures = {metric(name): uar_of(found, truth) for name, found in by_condition.items()}
    # Half of the speakers has the temperature of the other half.
    first = np.isin(groups, sorted(set(groups))[::2])
    error = cross_fitted_ece(logs, labels, [np.flatnonzero(half) for half in (first, ~first)])
    return figures | {"heldout_ece": error, "heldout_files": float(len(truth))}, calibrate(logs, labels)


if __name__ == "__main__":
    main()
