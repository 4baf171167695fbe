"""Models that are published in a run: other voices of the shipped network, so that it shows which of them spoke."""

import re
from collections.abc import Iterable
from dataclasses import replace

from undertone.inference.bundle import DEFAULT_BUNDLE, bundle_bytes, read_bundle
from undertone.inference.model import Model

# A temperature this much higher moves each probability by far more than the verifier's tolerance.
_STEP = 1.25
# So many temperatures in turn: 2.4 times the shipped one at most, at which emotions still are told apart.
_VOICES = 5
_FIRST = "chaos-0"


def following(version: str, of: str = "") -> str:
    """The version after `version`; `of` is what it was made of. What was made of the same is no other."""
    found = re.fullmatch(r"chaos-(\d+)(?:-(\w+))?", version)
    if not found:
        return _FIRST
    made_of = of[:8]
    return version if made_of and found[2] == made_of else f"chaos-{int(found[1]) + 1}" + (f"-{made_of}" if of else "")


def bundle_named(version: str) -> bytes:
    """The shipped network under another version and with a calibration that goes with its number."""
    number = int(version.split("-")[1])
    bundle = read_bundle(DEFAULT_BUNDLE)
    calibration = bundle.card.calibration
    temperature = calibration.temperature * _STEP ** (number % _VOICES)
    calibration = calibration.model_copy(update={"temperature": temperature})
    card = bundle.card.model_copy(update={"version": version, "calibration": calibration})
    return bundle_bytes(replace(bundle, card=card))


def models_named(versions: Iterable[str]) -> dict[str, Model]:
    """Models by version."""
    return {version: Model.load(bundle_named(version)) for version in versions}
