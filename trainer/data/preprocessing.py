"""What a model's training and its use must agree on: how sound becomes what the network is given."""

import math
from dataclasses import dataclass

from schemas.card import FrontEndSpec, GateSpec, ModelCard, SegmentSpec


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Front end, gate (VAD) and segments, as a model card holds them; the trainer has no such values of its own."""

    front_end: FrontEndSpec
    gate: GateSpec
    segments: SegmentSpec

    @classmethod
    def of(cls, card: ModelCard) -> "Preprocessing":
        """That of an existing model."""
        return cls(card.front_end, card.gate, card.segments)

    @classmethod
    def default(cls, context_frames: int) -> "Preprocessing":
        """The card's defaults, for a network that sees so many frames before its block."""
        return cls(FrontEndSpec(context_frames=context_frames), GateSpec(), SegmentSpec())

    @property
    def silence(self) -> float:
        """Log-mel of digital silence: what stands before a stream's first frame."""
        return math.log(self.front_end.log_floor)
