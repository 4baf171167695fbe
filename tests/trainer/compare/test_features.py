"""What a clip's features are of, and which sets and systems the grid has."""

import numpy as np
import pytest

from schemas.errors import UserError
from tests.support.voices import RATE, utterance
from trainer.compare.features import (
    AFTER_SECONDS,
    POPULAR,
    SETS,
    TOGETHER,
    compute,
    set_names,
    step_columns,
    vector_columns,
)
from trainer.compare.grid import choose_grid, system_names


def test_features_are_of_speech_alone() -> None:
    sound = utterance("satisfied", 1, 0)
    quiet = np.zeros(RATE, np.int16)
    one, other = compute(sound), compute(np.concatenate([sound, quiet]))
    assert other.speech_s == pytest.approx(one.speech_s, abs=0.3)
    assert one.vectors.shape[0] == len(AFTER_SECONDS) + 1
    # What is heard after half a second does not depend on what follows.
    np.testing.assert_allclose(one.vectors[0], other.vectors[0], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("samples", [0, 1, 300, 4000])
def test_silence_and_scraps_have_features(samples: int) -> None:
    found = compute(np.zeros(samples, np.int16))
    assert np.isfinite(found.vectors).all()
    assert np.isfinite(found.steps).all()
    assert len(found.steps) >= 1


def test_sets_together_are_all_sets() -> None:
    alone = np.concatenate([vector_columns(name) for name in SETS])
    assert sorted(alone) == vector_columns(TOGETHER).tolist()
    assert set(vector_columns(POPULAR)) < set(vector_columns(TOGETHER))
    assert sorted(np.concatenate([step_columns(name) for name in SETS])) == step_columns(TOGETHER).tolist()


def test_the_full_grid_has_every_system_on_every_set() -> None:
    cells = choose_grid(quick=False).cells("calls")
    assert {cell.system for cell in cells} == set(system_names())
    assert {cell.features for cell in cells if cell.system == "svm-rbf"} == set(set_names())
    assert len(cells) == len(set(cells))


def test_unknown_names_are_said() -> None:
    with pytest.raises(UserError, match="no system 'svm'"):
        choose_grid(quick=True, systems=["svm"])
    with pytest.raises(UserError, match="no features 'mfccs'"):
        choose_grid(quick=True, features=["mfccs"])
