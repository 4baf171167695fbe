"""What a stream's speaker has sounded like so far: the yardstick for what he sounds like now.

Of each measure a row keeps a mean and a sum of squared deviations over its closed utterances, weighted by how much each
rests on (West 1979): 28 bytes a measure, however long the call is. All of it works on rows that were copied out of the
stream table.
"""

import numpy as np
from numpy.typing import NDArray

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

# By measure: values [n], and what each rests on [n], 0 where there is nothing to measure.
Measured = dict[str, tuple[NDArray[np.float64], NDArray[np.integer]]]


def remember(rows: NDArray[np.void], measured: Measured) -> None:
    """Count utterances that have ended into the memory, in place."""
    for measure, (values, weights) in measured.items():
        whole = rows[f"{measure}_weight"] + weights
        off = np.where(weights > 0, values - rows[f"{measure}_mean"], 0.0)
        rows[f"{measure}_mean"] += off * weights / np.where(weights > 0, whole, 1.0)
        rows[f"{measure}_squares"] += weights * off * (values - rows[f"{measure}_mean"])
        rows[f"{measure}_weight"] = whole
        rows[f"{measure}_heard"] += weights > 0


def relative(rows: NDArray[np.void], measured: Measured) -> dict[str, list[float | None]]:
    """How utterances stand to the memory, in standard deviations, by measure; nothing is remembered by that."""
    return {measure: _deviations(rows, measure, *measured[measure]) for measure in MEASURES}


def forget_model(row: np.void) -> None:
    """Keep of the voice what is measured, in place, and not what a model made of it: another is no yardstick for it."""
    for part in ("heard", "weight", "mean", "squares"):
        row[f"arousal_{part}"] = 0
    row["heard_steps"] = 0


def _deviations(
    rows: NDArray[np.void], measure: str, values: NDArray[np.float64], weights: NDArray[np.integer]
) -> list[float | None]:
    heard = rows[f"{measure}_heard"]
    known = (weights > 0) & (heard >= FEWEST)
    if not known.any():
        return [None] * len(rows)
    # As many utterances as three give too small a deviation on the mean: n / (n - 1), as for equal weights.
    weight = np.where(known, rows[f"{measure}_weight"], 1.0)
    variance = rows[f"{measure}_squares"] / weight * heard / np.where(known, heard - 1, 1)
    deviation = np.maximum(np.sqrt(np.maximum(variance, 0.0)), _LEAST_DEVIATION[measure])
    off = (values - rows[f"{measure}_mean"]) / deviation
    # + 0.0: no -0.0
    return [round(value, 2) + 0.0 if said else None for value, said in zip(off.tolist(), known.tolist(), strict=True)]
