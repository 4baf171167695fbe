"""A trained network becomes a bundle: flatbuffer, parity with Keras, model card."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import keras
import numpy as np
from numpy.typing import NDArray

from schemas.card import (
    FRAMES_PER_STEP,
    STEPS_PER_BLOCK,
    CalibrationSpec,
    CallerSpec,
    ModelCard,
    NetworkSpec,
    TrainingData,
)
from schemas.errors import UserError
from trainer.data.clips import Clips, window
from trainer.data.speech import step_mask
from trainer.packaging.export import BATCH_SIZES, to_tflite
from trainer.training.network import build_block_model
from undertone.inference.affect import groups_of, places_of
from undertone.inference.bundle import Bundle, with_filter_bank
from undertone.inference.class_prior import parse_prior, shares_of
from undertone.inference.runtime import Runtime

PARITY = 1e-4
# Weights in eight bits move logits by some hundredths. Accuracy is what they are judged by; this finds a broken export.
INT8_PARITY = 0.5
_PROBED_CLIPS = 8
_PROBED_BLOCKS = 8  # two seconds of speech

INTENDED_USE = (
    "Measuring how calls sound, in the aggregate and with people's knowledge. Not for decisions about a single person: "
    "hiring, credit, insurance, discipline or policing."
)
LIMITATIONS = (
    "The emotion that a voice conveys, as listeners would name it; not what somebody feels. Figures fall for "
    "languages, accents and ages that were not trained on, in noise, and for acted models on spontaneous speech. "
    "The law of some places forbids inferring employees' emotions at work."
)


def make_bundle(
    model: keras.Model,
    probes: Clips,
    *,
    name: str,
    labels: Sequence[str],
    calibration: CalibrationSpec,
    training_data: tuple[TrainingData, ...],
    int8: bool = False,
) -> Bundle:
    """Convert, compare with Keras on real clips, and write the card. The version is that of `version_of`.

    Front end, gate and segments of the card are those by which the clips were made.

    Raises:
        UserError: the flatbuffer's outputs differ from Keras by more than 1e-4 (int8: its logits by 0.5), or this
            runtime cannot run it.
    """
    flatbuffer = to_tflite(model, int8=int8)
    digest = hashlib.sha256(flatbuffer).hexdigest()
    card = ModelCard(
        name=name,
        version=version_of(name, flatbuffer, calibration),
        created=datetime.now(UTC).replace(microsecond=0),
        labels=tuple(labels),
        front_end=probes.preprocessing.front_end,
        gate=probes.preprocessing.gate,
        segments=probes.preprocessing.segments,
        network=NetworkSpec(
            sha256=digest,
            size=len(flatbuffer),
            batch_sizes=BATCH_SIZES,
            state_size=model.undertone_shape.state_size,
            parameters=model.count_params(),
            arithmetic="dynamic-range-int8" if int8 else "float32",
        ),
        calibration=calibration,
        groups=groups_of(tuple(labels)),
        affect=places_of(tuple(labels)),
        training_data=training_data,
        licence=licence_of(training_data),
        intended_use=INTENDED_USE,
        limitations=LIMITATIONS,
    )
    bundle = with_filter_bank(Bundle(card, flatbuffer, origin="the new bundle"))
    worst, limit = parity(model, Runtime(bundle), probes), INT8_PARITY if int8 else PARITY
    if not worst <= limit:  # NaN fails too
        raise UserError(f"export: TFLite and Keras differ by {worst:.2g} on real clips, over {limit:g}; not saved")
    return with_metrics(bundle, {"parity": worst})


def version_of(name: str, flatbuffer: bytes, calibration: CalibrationSpec, caller: CallerSpec | None = None) -> str:
    """A version: of the weights, and of a class prior and of a caller's memory where there are any, for both show."""
    digest = hashlib.sha256(flatbuffer)
    if calibration.prior:
        digest.update(calibration.model_dump_json().encode())
    if caller:
        digest.update(caller.model_dump_json().encode())
    return f"{name}-{digest.hexdigest()[:10]}"


def for_calls(
    bundle: Bundle,
    prior: str | Mapping[str, float] | None,
    training_prior: Mapping[str, float] | None = None,
    caller: CallerSpec | None = None,
) -> Bundle:
    """The bundle for calls in which labels are as often as `prior` says: another card, so another version.

    Args:
        prior: None: as the card says.
        caller: how far an utterance is judged against its caller's earlier ones, as far as the model has the labels;
            None: as the card says.
        training_prior: shares in the training data; None: as the card has them.

    Raises:
        UserError: `prior` is none, or names a label that the model does not know.
    """
    calibration = bundle.card.calibration
    if training_prior is not None:
        calibration = calibration.model_copy(update={"training_prior": dict(training_prior)})
    if prior is not None:
        shares = shares_of(parse_prior(prior) if isinstance(prior, str) else prior, bundle.card.labels, calibration)
        rounded = {label: round(share, 6) for label, share in shares.items()}
        calibration = calibration.model_copy(update={"prior": rounded})
    caller = (caller.for_labels(bundle.card.labels) if caller else None) or bundle.card.caller
    version = version_of(bundle.card.name, bundle.flatbuffer, calibration, caller)
    changes = {"calibration": calibration, "caller": caller, "version": version}
    return replace(bundle, card=bundle.card.model_copy(update=changes))


def training_prior(labels: Sequence[str], weights: NDArray[np.floating]) -> dict[str, float]:
    """A card's entry from how much of the training each label was [labels]; a label of none counts as one in 10,000."""
    shares = np.maximum(weights / weights.sum(), 1e-4)
    return {label: round(float(share), 6) for label, share in zip(labels, shares / shares.sum(), strict=True)}


def with_metrics(bundle: Bundle, metrics: dict[str, float]) -> Bundle:
    """The bundle with figures added to its card, six digits of each."""
    rounded = {name: round(value, 6 if value > 1e-3 else 9) for name, value in metrics.items()}
    card = bundle.card.model_copy(update={"metrics": bundle.card.metrics | rounded})
    return replace(bundle, card=card)


def parity(model: keras.Model, runtime: Runtime, clips: Clips) -> float:
    """Greatest difference between Keras and the runtime over clips, block by block.

    Of logits absolute, each side going on from its own state for two seconds of speech. Of the state relative to its
    largest number: it holds running sums of thousands, the terms of which cancel, so that a small sum has the rounding
    of large ones (float32 gives 2e-3 in 5,800 where the logits agree to 5e-6).
    """
    shape = model.undertone_shape
    count = min(_PROBED_CLIPS, len(clips))
    block = build_block_model(model, count)
    kept = kept_lite = np.zeros((count, shape.state_size), np.float32)
    worst = 0.0
    for number in range(_PROBED_BLOCKS):
        features, speech = _block_of(clips, count, number * STEPS_PER_BLOCK)
        expected = block.predict_on_batch([features, speech, kept])
        logits, kept_lite = runtime.run(features, speech, kept_lite)
        kept = np.asarray(expected["state"])
        by_logits = np.abs(logits - np.asarray(expected["logits"])).max()
        by_state = np.abs(kept_lite - kept).max() / max(np.abs(kept).max(), 1.0)
        worst = max(worst, float(by_logits), float(by_state))
    return worst


def licence_of(data: Sequence[TrainingData]) -> str:
    """One sentence on what the licences of the training data leave open."""
    terms = sorted({f"{part.corpus}: {part.licence}" for part in data})
    text = "; ".join(terms)
    if any(word in part.licence for part in data for word in ("NC", "research")):
        return f"Non-commercial use only, because of what it was trained on ({text})."
    return f"As the terms of its training data allow ({text})."


def _block_of(clips: Clips, count: int, start: int) -> tuple[np.ndarray, np.ndarray]:
    """One block of each clip; a clip that has ended starts over, so that every block is of real speech."""
    features, masks = [], []
    for clip in range(count):
        steps = len(clips.speech[clip]) // FRAMES_PER_STEP
        first = start % max(steps - STEPS_PER_BLOCK + 1, 1)
        features.append(window(clips.features[clip], first, first + STEPS_PER_BLOCK, clips.preprocessing))
        masks.append(step_mask(clips.speech[clip])[first : first + STEPS_PER_BLOCK])
    return np.stack(features), np.stack(masks).astype(np.float32)
