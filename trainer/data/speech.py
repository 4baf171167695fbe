"""Speech in a whole clip as the worker finds it in a stream: the gate's hang-over, steps, and utterances."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.card import FRAMES_PER_STEP, GateSpec, SegmentSpec
from undertone.acoustics.frames import BLOCK_FRAMES, HOPS_PER_SECOND


@dataclass(frozen=True, slots=True)
class SegmentSteps:
    """An utterance: its first step in the clip, and the steps from there that hold speech, float32 0/1."""

    start: int
    mask: NDArray[np.float32]

    @property
    def end(self) -> int:
        """The step after its last."""
        return self.start + len(self.mask)


def hang_over(raw: NDArray[np.bool_], gate: GateSpec) -> NDArray[np.bool_]:
    """The gate's mask [F]: open at each frame above its threshold and for the hang-over after it."""
    index = np.arange(len(raw))
    last = np.maximum.accumulate(np.where(raw, index, -gate.hangover_frames - 1))
    return np.asarray(index - last <= gate.hangover_frames)


def step_mask(speech: NDArray[np.bool_]) -> NDArray[np.float32]:
    """[F] frames -> [F / 4] steps: a step is speech where any of its frames is. F is a multiple of 4."""
    return np.asarray(speech.reshape(-1, FRAMES_PER_STEP).any(axis=1), np.float32)


def segments(raw: NDArray[np.bool_], gate: GateSpec, spec: SegmentSpec) -> list[SegmentSteps]:
    """The utterances of a clip, cut where the engine cuts them.

    A clip in which the engine finds none gets one all the same, so that each clip has a prediction: its first click,
    or its first step.

    Args:
        raw: bool [F], the frames above the gate's threshold.
    """
    spans = _spans(raw, spec)
    kept = [span for span in spans if raw[slice(*span)].sum() >= spec.min_speech_frames] or spans[:1]
    speech = hang_over(raw, gate)
    return [_segment(speech, *span) for span in kept] or [SegmentSteps(0, np.zeros(1, np.float32))]


def _spans(raw: NDArray[np.bool_], spec: SegmentSpec) -> list[tuple[int, int]]:
    """Frames [start, end) in which a segment is open, clicks among them.

    As in the engine a segment ends at the edge of a block: of the one in which its gap is full, or of the one with
    which it becomes too long.
    """
    spans: list[tuple[int, int]] = []
    start: int | None = None
    last = 0
    for edge in range(0, len(raw), BLOCK_FRAMES):
        spoken = edge + np.flatnonzero(raw[edge : edge + BLOCK_FRAMES])
        after = edge + BLOCK_FRAMES
        if start is not None and (spoken[0] if len(spoken) else after) - last > spec.gap_frames:
            spans.append((start, edge))
            start = None
        if start is None and len(spoken):
            start = int(spoken[0])
        if len(spoken):
            last = int(spoken[-1])
        if start is not None and after - start >= spec.max_seconds * HOPS_PER_SECOND:
            spans.append((start, after))
            start = None
    return [*spans, (start, len(raw))] if start is not None else spans


def _segment(speech: NDArray[np.bool_], start: int, end: int) -> SegmentSteps:
    end = start + 1 + int(np.flatnonzero(speech[start:end])[-1])
    first = start // FRAMES_PER_STEP
    inside = np.zeros(FRAMES_PER_STEP * (-(-end // FRAMES_PER_STEP) - first), bool)
    inside[start - FRAMES_PER_STEP * first : end - FRAMES_PER_STEP * first] = speech[start:end]
    return SegmentSteps(first, step_mask(inside))
