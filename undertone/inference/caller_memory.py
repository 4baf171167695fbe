"""What a stream's speaker has sounded like so far: the yardstick for what he sounds like now.

Of each measure a row keeps a mean and a sum of squared deviations over its closed utterances, weighted by how much each
rests on (West 1979): 28 bytes a measure, however long the call is. All of it works on single rows of the stream table.
"""

import numpy as np

from schemas.events import Relative

MEASURES = ("level", "pitch", "arousal")
FIELDS = [
    (f"{measure}_{part}", kind)
    for measure in MEASURES
    for part, kind in (("heard", "<i4"), ("weight", "<f8"), ("mean", "<f8"), ("squares", "<f8"))
] + [("heard_steps", "<i4")]  # that the stream's sum of evidence rests on
# Two utterances have a mean and say nothing of what is usual.
FEWEST = 3
# An even speaker, or three utterances alike by chance, must not make a small change a great one. Half of what lies
# between neutral utterances of one actor who was not in training: 1.5 dB, 0.09 and 0.1 (CREMA-D and EMOVO, 57 actors).
_LEAST_DEVIATION = {"level": 0.75, "pitch": 0.045, "arousal": 0.05}

# By measure: (value, weight), or None where there is nothing to measure.
Measured = dict[str, tuple[float, float] | None]


def remember(row: np.void, measured: Measured) -> None:
    """Count an utterance that has ended into the memory, in place."""
    for measure, found in measured.items():
        if found is None:
            continue
        value, weight = found
        whole = row[f"{measure}_weight"] + weight
        off = value - row[f"{measure}_mean"]
        row[f"{measure}_mean"] += off * weight / whole
        row[f"{measure}_squares"] += weight * off * (value - row[f"{measure}_mean"])
        row[f"{measure}_weight"] = whole
        row[f"{measure}_heard"] += 1


def relative(row: np.void, measured: Measured) -> Relative:
    """How an utterance stands to the memory, in standard deviations; nothing is remembered by that."""
    return Relative(**{measure: _deviations(row, measure, measured[measure]) for measure in MEASURES})


def forget_model(row: np.void) -> None:
    """Keep of the voice what is measured, in place, and not what a model made of it: another is no yardstick for it."""
    for part in ("heard", "weight", "mean", "squares"):
        row[f"arousal_{part}"] = 0
    row["heard_steps"] = 0


def _deviations(row: np.void, measure: str, found: tuple[float, float] | None) -> float | None:
    heard = int(row[f"{measure}_heard"])
    if found is None or heard < FEWEST:
        return None
    # As many utterances as three give too small a deviation on the mean: n / (n - 1), as for equal weights.
    variance = row[f"{measure}_squares"] / row[f"{measure}_weight"] * heard / (heard - 1)
    deviation = max(float(np.sqrt(max(variance, 0.0))), _LEAST_DEVIATION[measure])
    return round(float(found[0] - row[f"{measure}_mean"]) / deviation, 2) + 0.0  # no -0.0
