"""Calls of CREMA-D's strangers, whom the network of `open` was never trained on, for `undertone evaluate --calls`.

    python -m trainer.distillation.stranger_calls --data CREMA-D --out calls.csv
    undertone evaluate calls.csv --calls --model open

Each of their clips ends one call, after ten others of its speaker, seven of them neutral; those are heard and have no
label, so that they are not counted.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from trainer.data.corpora import load
from trainer.distillation.open_bundle import TESTED_ON
from trainer.distillation.pretraining import strangers_among, with_labels_of
from trainer.evaluation.in_calls import BEFORE, draw_calls
from undertone.analysis.alarms import QUIET

_HEARD = max(BEFORE)


def write(data: Path, out: Path, seed: int = 1) -> int:
    """Write the manifest and say how many calls it has.

    Raises:
        UserError: the folder holds no corpus that is known.
    """
    spoken = [one for one in with_labels_of(TESTED_ON, load([data])).utterances if one.corpus == TESTED_ON]
    strangers = strangers_among({one.speaker for one in spoken})
    spoken = [one for one in spoken if one.speaker in strangers]
    usual = np.array([one.emotion in QUIET for one in spoken])
    speakers = [one.speaker for one in spoken]
    calls = draw_calls(usual, speakers, _HEARD, BEFORE[_HEARD], seed, most=len(spoken))
    with out.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "emotion", "speaker", "call", "order"))
        for number, call in enumerate(calls):
            for order, row in enumerate(call):
                label = spoken[row].emotion if order == _HEARD else ""
                rows.writerow((spoken[row].path.resolve(), label, spoken[row].speaker, number, order))
    return len(calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"{write(options.data, options.out, options.seed)} calls")


if __name__ == "__main__":
    main()
