"""The reference of a bundle that was made without one, from labelled speech.

    python -m trainer.distillation.reference BUNDLE --data CREMA-D ... --out model.zip [--held-out]

Its version stays: nothing that it predicts is another.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from trainer.data.corpora import Utterance, load
from trainer.evaluation.reference import listen, reference_of
from undertone.inference.bundle import Bundle, bundle_bytes, read_bundle
from undertone.inference.model import Model


def with_reference(bundle: Bundle, utterances: Sequence[Utterance], *, held_out: bool) -> Bundle:
    """The bundle with what these utterances are like in its card; those of other labels are left out.

    Raises:
        UserError: a file cannot be read.
    """
    labels = bundle.card.labels
    known = [one for one in utterances if one.emotion in labels]
    truth = np.array([labels.index(one.emotion) for one in known], np.intp)
    heard = listen(Model.of(bundle), [one.path for one in known], truth, [one.speaker for one in known])
    reference = reference_of(heard, len(labels), held_out=held_out)
    return replace(bundle, card=bundle.card.model_copy(update={"reference": reference}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--held-out", action="store_true", help="training has heard none of these speakers")
    options = parser.parse_args()
    bundle = with_reference(read_bundle(options.bundle), load(options.data).utterances, held_out=options.held_out)
    options.out.write_bytes(bundle_bytes(bundle))


if __name__ == "__main__":
    main()
