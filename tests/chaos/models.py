"""Models that are published in a run: other voices of the shipped network, so that it shows which of them spoke."""

from collections.abc import Sequence
from dataclasses import replace

from undertone.inference.bundle import DEFAULT_BUNDLE, bundle_bytes, read_bundle
from undertone.inference.model import Model

# A temperature this much higher moves each probability by far more than the verifier's tolerance.
_STEP = 1.25


def bundle_named(version: str, number: int) -> bytes:
    """The shipped network under another version and with a calibration of its own."""
    bundle = read_bundle(DEFAULT_BUNDLE)
    calibration = bundle.card.calibration
    calibration = calibration.model_copy(update={"temperature": calibration.temperature * _STEP**number})
    card = bundle.card.model_copy(update={"version": version, "calibration": calibration})
    return bundle_bytes(replace(bundle, card=card))


def models_named(versions: Sequence[str]) -> dict[str, Model]:
    """Models by version; the first is number 0 of the calibrations."""
    return {version: Model.load(bundle_named(version, number)) for number, version in enumerate(versions)}
