"""What is familiar to a bundle, from labelled speech, and its network exported anew. Its weights lie beside it.

    python -m trainer.distillation.novelty BUNDLE --data RAVDESS CREMA-D --out model.zip
    python -m trainer.distillation.novelty BUNDLE --data CREMA-D --strangers --unheard-noise ESC-10/rain ... --out ...

Familiar are these clips, and with `--strangers` those of the sixteen speakers who are in no pretraining, of whom
temperature and figures are found anew. Else these stay as the card has them. What is expected of calls is what
default_bundle.py and, with `--strangers`, open_bundle.py say. The version is a new one.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from schemas.card import CalibrationSpec
from trainer.data.clips import Clips
from trainer.data.corpora import load
from trainer.data.dataset import read
from trainer.data.preprocessing import Preprocessing
from trainer.distillation.corpus_clips import CorpusClips
from trainer.distillation.default_bundle import EXPECTED as DEFAULT
from trainer.distillation.open_bundle import EXPECTED as OPEN
from trainer.distillation.open_bundle import tested_on
from trainer.distillation.pretraining import strangers_of
from trainer.distillation.reference import with_reference
from trainer.evaluation.cost import us_per_second
from trainer.packaging.bundle import for_calls, make_bundle, with_metrics
from trainer.training.network import network_weights, restored
from trainer.training.novelty import fit_novelty
from trainer.training.weights import load_start, save_weights
from undertone.acoustics.decode import expand
from undertone.inference.bundle import Bundle, bundle_bytes, read_bundle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--strangers", action="store_true", help="only those who are in no pretraining")
    parser.add_argument("--unheard-noise", type=Path, nargs="*", default=[], help="sounds to test strangers with")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="the bundle; its weights go beside it")
    options = parser.parse_args()
    before, start = read_bundle(options.bundle), load_start(options.bundle)
    labelled = load(options.data)
    known = [one for one in labelled.utterances if one.emotion in before.card.labels]
    dataset = read(replace(labelled, utterances=known), Preprocessing.of(before.card))
    rows = np.arange(len(dataset.utterances))
    if options.strangers:
        rows = rows[np.isin(dataset.groups, sorted(strangers_of(dataset, rows)))]
    heard = CorpusClips(dataset, rows)
    model, clips = restored(start.shape, start.weights), heard.clips("clean")
    fit_novelty(model, clips, heard.groups.tolist(), heard.corpora)
    figures: dict[str, float] = {}
    calibration = before.card.calibration
    if options.strangers:
        conditions = heard.conditions(expand(options.unheard_noise), options.seed)
        figures, found = tested_on(conditions, heard.groups, model)
        shares = {"prior": calibration.prior, "training_prior": calibration.training_prior}
        calibration = found.model_copy(update=shares)
    expected = OPEN if options.strangers else DEFAULT
    bundle = _renewed(before, model, clips, calibration)
    bundle = for_calls(bundle, expected.prior(before.card.labels), caller=expected.caller)
    bundle = with_metrics(bundle, figures | {"us_per_s": us_per_second(bundle)})
    bundle = with_reference(bundle, heard.utterances, held_out=options.strangers)
    options.out.write_bytes(bundle_bytes(bundle))
    save_weights(options.out, network_weights(model), model.undertone_shape, bundle.card.version)


def _renewed(before: Bundle, model: keras.Model, clips: Clips, calibration: CalibrationSpec) -> Bundle:
    """The network exported anew, under what the card said."""
    card = before.card
    bundle = make_bundle(
        model,
        clips.subset(np.arange(8)),
        name=card.name,
        labels=card.labels,
        calibration=calibration,
        training_data=card.training_data,
        int8=card.network.arithmetic == "dynamic-range-int8",
    )
    parity = bundle.card.metrics
    changes = {"network": bundle.card.network, "calibration": calibration}
    return with_metrics(replace(bundle, card=card.model_copy(update=changes)), parity)


if __name__ == "__main__":
    main()
