"""A bundle for calls: the class prior goes on the card, and the version says so."""

import numpy as np
import pytest

from schemas.errors import UserError
from trainer.packaging.bundle import for_calls, training_prior, version_of
from undertone.inference.bundle import DEFAULT_BUNDLE, bundle_bytes, read_bundle
from undertone.inference.model import Model


def test_a_class_prior_makes_another_version_of_the_same_weights() -> None:
    shipped = read_bundle(DEFAULT_BUNDLE)
    made = for_calls(shipped, "neutral=0.5")
    other = for_calls(shipped, "neutral=0.4")
    again = read_bundle(bundle_bytes(made))
    assert again.card == made.card
    assert again.flatbuffer == shipped.flatbuffer
    assert len({shipped.card.version, made.card.version, other.card.version}) == 3
    assert made.card.version == version_of(made.card.name, made.flatbuffer, made.card.calibration, made.card.caller)
    assert Model.of(made).class_prior["neutral"] == pytest.approx(0.5)
    with pytest.raises(UserError, match="knows no nuetral"):
        for_calls(shipped, "nuetral=0.5")


def test_the_training_datas_shares_are_those_of_its_clips() -> None:
    shares = training_prior(["a", "b", "c"], np.array([30.0, 10.0, 0.0]))
    assert shares == {"a": pytest.approx(0.75, abs=1e-3), "b": pytest.approx(0.25, abs=1e-3), "c": 0.0001}
