"""The gate, a causal voice activity detector (VAD) by energy: tells speech from silence, for many streams at once.

A noise floor follows the level: down at once, up slowly. A hop is speech when it lies `floor_margin_db` above the floor
and above `min_dbfs`. Levels are whole multiples of 0.0001 dB from exact energies, and the floor is a running minimum of
integers, so the decisions are the same however the hops are grouped into calls.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.card import GateSpec
from undertone.acoustics.frames import HOPS_PER_SECOND
from undertone.acoustics.level import dbfs

_UNITS_PER_DB = 10_000
# Long enough ago for every hang-over (200 frames at most), small enough that counting on never overflows.
_LONG_AGO = 1 << 20


class GateState(NamedTuple):
    """What a stream carries from hop to hop: 8 bytes each."""

    floor: NDArray[np.int32]  # [n], noise floor in 0.0001 dBFS
    since_speech: NDArray[np.int32]  # [n], hops since the last speech hop, at most 2^20


class GateDecision(NamedTuple):
    """The gate's answer for F hops of B streams, and the state after them."""

    raw: NDArray[np.bool_]  # [B, F], above the threshold
    active: NDArray[np.bool_]  # [B, F], raw or within the hang-over after it
    state: GateState
    level_db: NDArray[np.float64]  # [B, F], dBFS of each hop


class Gate:
    """The gate of one model card. It holds no stream's state; the caller carries that."""

    def __init__(self, spec: GateSpec) -> None:
        self.spec = spec
        self._rise = round(spec.floor_rise_db_per_s / HOPS_PER_SECOND * _UNITS_PER_DB)
        self._margin = round(spec.floor_margin_db * _UNITS_PER_DB)
        self._minimum = round(spec.min_dbfs * _UNITS_PER_DB)

    def initial_state(self, n: int) -> GateState:
        """State of `n` streams that have heard nothing."""
        floor = max(round(self.spec.floor_start_dbfs * _UNITS_PER_DB), self._minimum - self._margin)
        return GateState(np.full(n, floor, np.int32), np.full(n, _LONG_AGO, np.int32))

    def step(self, energies: NDArray[np.int64], hop: int, state: GateState) -> GateDecision:
        """Decide on the next hops of a batch of streams.

        Args:
            energies: int64 [B, F], sum of squares of each hop's `hop` new samples.
            hop: samples in a hop: 100 or 200.
            state: the B streams' state before these hops; left as it is.
        """
        level_db = dbfs(energies, hop)
        level = np.rint(level_db * _UNITS_PER_DB).astype(np.int64)
        before = self._floors_before(level, state.floor)
        raw = level > np.maximum(before + self._margin, self._minimum)
        since = _hops_since(raw, state.since_speech)
        floor = np.minimum(level[:, -1], before[:, -1] + self._rise)
        after = GateState(self._clamp(floor).astype(np.int32), since[:, -1])
        return GateDecision(raw, since <= self.spec.hangover_frames, after, level_db)

    def _floors_before(self, level: NDArray[np.int64], floor: NDArray[np.int32]) -> NDArray[np.int64]:
        """The floor that each hop is compared with: the one left by the hop before it.

        floor[j] = min(level[j], floor[j-1] + rise) is a running minimum of level[j] - rise * j, so that no loop over
        hops is needed; in integers the two are equal.
        """
        slope = self._rise * np.arange(level.shape[1], dtype=np.int64)
        own = np.concatenate([floor[:, None], self._clamp(level[:, :-1])], axis=1)
        return np.minimum.accumulate(own - slope, axis=1) + slope

    def _clamp(self, level: NDArray[np.int64]) -> NDArray[np.int64]:
        # Below min_dbfs - margin the floor would change no decision, but digital silence would pull it so deep that
        # the line noise after it passes for speech until the floor has risen again.
        return np.maximum(level, self._minimum - self._margin)


def _hops_since(raw: NDArray[np.bool_], since: NDArray[np.int32]) -> NDArray[np.int32]:
    """Hops since the last speech hop, 0 on one: int32 [B, F]."""
    index = np.arange(raw.shape[1], dtype=np.int32)
    last = np.where(raw, index, np.int32(-_LONG_AGO))
    last = np.maximum(np.maximum.accumulate(last, axis=1), -1 - since[:, None])
    return np.minimum(index - last, _LONG_AGO).astype(np.int32)
