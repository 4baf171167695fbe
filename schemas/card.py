"""The model card: everything that worker and trainer must agree on, and what a person should know of a model.

Front end, gate and segmentation are part of the model: both sides build them from the card, so they cannot drift.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from schemas.aliases import Alias
from schemas.reference import Reference

BLOCK_MS = 250
STEPS_PER_BLOCK = 5
FRAMES_PER_STEP = 4
STEPS_PER_SECOND = 1000 * STEPS_PER_BLOCK // BLOCK_MS
MAX_STATE_SIZE = 1024
MAX_FLATBUFFER_BYTES = 4 * 1024 * 1024
MAX_FILTER_BANK_BYTES = 128 * 129 * 4

GroupName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9 _-]{0,39}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FrontEndSpec(_Part):
    """How sound becomes features. One spec serves 8 and 16 kHz: bins up to 4 kHz are the same at both."""

    kind: Literal["log-mel"] = "log-mel"
    # Twenty hops fill a block; other hops would need other networks, so nothing else is accepted.
    hop_ms: float = Field(default=12.5, ge=12.5, le=12.5)
    window_ms: Literal[32] = 32
    n_mels: int = Field(default=64, ge=8, le=128)
    fmin_hz: float = Field(default=60.0, ge=0, lt=4000)
    fmax_hz: float = Field(default=4000.0, gt=0, le=4000)
    # In float32 it must stay above 0, whose logarithm is none.
    log_floor: float = Field(default=1e-10, ge=1e-30, le=1)
    context_frames: int = Field(default=0, ge=0, le=8)
    remove_dc: bool = False
    pre_emphasis: float | None = Field(default=None, ge=0, lt=1)
    level_normalisation: bool = False
    spectral_gate_db: float | None = Field(default=None, gt=0, le=60)

    @property
    def frames_per_block(self) -> int:
        """Frames in a block of 250 ms: 20."""
        return int(BLOCK_MS / self.hop_ms)

    @model_validator(mode="after")
    def _band(self) -> Self:
        if self.fmin_hz >= self.fmax_hz:
            raise ValueError("fmin_hz must lie below fmax_hz")
        return self


class GateSpec(_Part):
    """The causal energy gate that tells speech from silence, frame by frame."""

    floor_margin_db: float = Field(default=15.0, ge=0, le=60)
    min_dbfs: float = Field(default=-60.0, ge=-100, le=0)
    hangover_frames: int = Field(default=20, ge=0, le=200)
    floor_start_dbfs: float = Field(default=-70.0, ge=-120, le=0)
    floor_rise_db_per_s: float = Field(default=3.0, ge=0, le=100)


class SegmentSpec(_Part):
    """How speech is cut into utterances. Times are in stream time."""

    gap_frames: int = Field(default=48, ge=20, le=800, description="Silence that ends a segment; more than a block.")
    max_seconds: int = Field(default=20, ge=1, le=300)
    min_speech_frames: int = Field(default=16, ge=1, le=80, description="Less than this is a click, not a segment.")
    update_ms: Literal[250, 500, 1000, 2000] = 500


class NetworkSpec(_Part):
    """The network: one flatbuffer, a signature for each batch size, explicit state in and out."""

    sha256: Sha256
    size: int = Field(gt=0, le=MAX_FLATBUFFER_BYTES)
    batch_sizes: tuple[int, ...] = Field(default=(1, 8, 32), max_length=16)
    state_size: int = Field(gt=0, le=MAX_STATE_SIZE)
    parameters: int = Field(gt=0)
    arithmetic: Literal["float32", "dynamic-range-int8"] = "float32"

    @model_validator(mode="after")
    def _batches(self) -> Self:
        if 1 not in self.batch_sizes or not all(1 <= size <= 256 for size in self.batch_sizes):
            raise ValueError("batch_sizes must hold 1 and lie within 1 to 256")
        return self


class FilterBankSpec(_Part):
    """The front end's mel filters as numbers, so that a worker need not compute them: float32, little-endian.

    `n_mels` rows of 129 bins, 0 to 4000 Hz, each filter's peak 1 and without pre-emphasis.
    """

    sha256: Sha256
    size: int = Field(gt=0, le=MAX_FILTER_BANK_BYTES)


ClassPrior = Annotated[dict[str, Annotated[float, Field(gt=0, lt=1)]], Field(max_length=64)]


class CalibrationSpec(_Part):
    """From logits to probabilities: softmax(logits / temperature + log(prior / training_prior)).

    The temperature was found on held-out speakers; below a probability of `uncertain_below` a label is `uncertain`.
    """

    temperature: float = Field(default=1.0, gt=0, le=100)
    uncertain_below: float = Field(default=0.4, ge=0, le=1)
    prior: ClassPrior | None = Field(
        default=None, description="Share of each label where the model works; null: as in its training data."
    )
    training_prior: ClassPrior | None = Field(
        default=None, description="Share of each label in the training data; null: all the same."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name in ("prior", "training_prior"):
            shares = getattr(self, name)
            if shares is not None and abs(sum(shares.values()) - 1) > 1e-3:
                raise ValueError(f"the shares of {name} do not add up to 1")
        return self


class CallerSpec(_Part):
    """How much an utterance is judged against what its caller has sounded like before.

    From the logits goes `weight` times the distance of the caller's mean evidence so far from `normal`, all of it once
    there were many seconds of speech, half of it after `half_s`.
    """

    weight: float = Field(gt=0, le=1)
    half_s: float = Field(default=5.0, gt=0, le=600)
    normal: dict[str, Annotated[float, Field(ge=-20, le=20)]] = Field(
        max_length=64, description="Evidence (log of the odds, before any prior) of a caller who is as usual, by label."
    )

    def for_labels(self, labels: Sequence[str]) -> Self | None:
        """The same for a model of other labels; None where none of them is that of a caller as usual."""
        if not any(self.normal.get(label) for label in labels):
            return None
        return self.model_copy(update={"normal": {label: self.normal.get(label, 0.0) for label in labels}})


class Place(_Part):
    """Where an emotion lies in the plane of valence (displeasure to pleasure) and arousal (sleepy to stirred)."""

    valence: float = Field(ge=-1, le=1)
    arousal: float = Field(ge=-1, le=1)


class TrainingData(_Part):
    """One corpus that a model was trained on."""

    corpus: str
    utterances: int = Field(ge=0)
    speakers: int = Field(ge=0)
    licence: str
    url: str = ""
    held_out: str = Field(
        default="",
        exclude_if=lambda held_out: not held_out,  # a card of before is written as it was
        description="Whom training has not heard, so that others may be tested on them.",
    )


class Lineage(_Part):
    """How a model came about: what would make it again, and what came before it."""

    code: str = Field(description="Version of Undertone that trained it.")
    seed: int = Field(ge=0)
    started_from: str | None = Field(default=None, description="Version whose weights it started from; null: nothing.")
    snapshot: str | None = Field(default=None, description="Version of the snapshot of people's labels; null: none.")
    parent: str | None = Field(default=None, description="The champion that it was held against; null: none.")

    def told(self) -> str:
        """In words, for people."""
        parts = [f"started from {self.started_from or 'nothing'}", f"seed {self.seed}", f"Undertone {self.code}"]
        parts += [f"labels' snapshot {self.snapshot}"] if self.snapshot else []
        parts += [f"after {self.parent}"] if self.parent else []
        return ", ".join(parts)


class ModelCard(_Part):
    """Card of one bundle. `version` names it in every event."""

    format: Literal[1] = 1
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    version: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    created: datetime
    labels: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9 _-]{0,39}$")], ...] = Field(
        min_length=2, max_length=64
    )
    front_end: FrontEndSpec = FrontEndSpec()
    gate: GateSpec = GateSpec()
    segments: SegmentSpec = SegmentSpec()
    network: NetworkSpec
    filter_bank: FilterBankSpec | None = None
    calibration: CalibrationSpec = CalibrationSpec()
    caller: CallerSpec | None = Field(default=None, description="Null: each utterance is judged alone.")
    groups: dict[GroupName, tuple[str, ...]] | None = Field(
        default=None,
        max_length=16,
        description="Labels by group, for who wants fewer; null: negative, neutral, positive.",
    )
    affect: dict[str, Place] | None = Field(
        default=None, max_length=64, description="Valence and arousal of labels; null: places on Russell's circle."
    )
    training_data: tuple[TrainingData, ...] = ()
    lineage: Lineage | None = Field(
        default=None,
        exclude_if=lambda lineage: lineage is None,  # a card of before is written as it was, and older workers read it
        description="Null: not stated.",
    )
    reference: Reference | None = Field(
        default=None,
        exclude_if=lambda reference: reference is None,  # likewise
        description="What its own data are like, to tell whether calls still are. Null: nobody can tell.",
    )
    metrics: dict[str, float] = {}
    licence: str = ""
    intended_use: str = ""
    limitations: str = ""

    @field_validator("version")
    @classmethod
    def _no_alias(cls, version: str) -> str:
        """Who named it in a command would get whatever the alias names."""
        if version in set(Alias):
            raise ValueError(f"{version} is an alias, and no version")
        return version

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels repeat")
        return self

    @model_validator(mode="after")
    def _groups_and_places(self) -> Self:
        members = [label for group in (self.groups or {}).values() for label in group]
        if len(set(members)) != len(members):
            raise ValueError("a label is in two groups")
        if unknown := {*members, *(self.affect or {})} - set(self.labels):
            raise ValueError(f"groups or affect name {min(unknown)!r}, which is no label")
        return self

    @model_validator(mode="after")
    def _normal(self) -> Self:
        if self.caller and self.caller.normal.keys() != set(self.labels):
            raise ValueError("caller.normal does not name each label once")
        return self

    @model_validator(mode="after")
    def _priors(self) -> Self:
        for name in ("prior", "training_prior"):
            shares = getattr(self.calibration, name)
            if shares is not None and shares.keys() != set(self.labels):
                raise ValueError(f"{name} does not name each label once")
        return self
