"""Blocks: what 250 ms of many streams come to, one block of each at a time.

Gate, segments, network, pitch, and the events that are due. Whatever is the same for all streams of a round is done for
all of them at once.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from undertone.acoustics.frames import BLOCK_FRAMES, block_samples, hop_samples
from undertone.acoustics.gate import Gate, GateDecision, GateState
from undertone.acoustics.level import sum_squares
from undertone.acoustics.pitch import SPARSE, pitch_sums, track_pitch
from undertone.inference import caller_memory, drift, segments
from undertone.inference.events import EventWriter, Utterances
from undertone.inference.intake import FeedResult
from undertone.inference.model import Model
from undertone.inference.model_slots import ModelSlots, distinct
from undertone.inference.records import lookback
from undertone.inference.runs import Buffers, Samples
from undertone.inference.streams import StreamTable

Rows = NDArray[np.intp]


class Blocks:
    """Hears blocks of the rows of one stream table."""

    def __init__(self, table: StreamTable, models: ModelSlots, events: EventWriter, *, measure: bool) -> None:
        self._table = table
        self._models = models
        self._events = events
        self._measure = measure

    def hear(self, buffers: Buffers, rate: int, result: FeedResult) -> None:
        """Hear every whole block of `buffers`.

        By the model whose gate and segment settings it goes by: mostly there is one.
        """
        for block in range(int(buffers.blocks.max())):
            due = np.flatnonzero(buffers.blocks > block)
            slots = self._table.settings_slots(buffers.rows[due], self._models)
            for slot in distinct(slots):
                self._block(buffers, due[slots == slot], block, rate, self._models[slot], result)

    def close(self, index: Rows, ended_by: str, result: FeedResult) -> None:
        """End open segments: an event each, or a counted click, and their share of the stream's summary."""
        if not index.size:
            return
        self._table.rows["open"][index] = False
        for some, model in self._by_model(index):
            clicks = segments.clicks(self._table.rows[some], model.card.segments)
            result.clicks += int(clicks.sum())
            if not clicks.all():
                said = self._events.utterances(some[~clicks], model)
                if not result.told:
                    self._tell(said, ended_by, result)
                self._remember(said)

    def _block(self, buffers: Buffers, which: Rows, block: int, rate: int, settings: Model, result: FeedResult) -> None:
        """One block of the runs `which`, of equal settings: gate, segments, network, events."""
        table, spec = self._table, settings.card.segments
        index, windows = buffers.rows[which], buffers.windows(which, block)
        first_offsets, last_offsets = buffers.block_offsets(which, block)

        energies = sum_squares(windows[:, lookback(rate) :].reshape(-1, BLOCK_FRAMES, hop_samples(rate)))
        gate = self._gate(index, energies, rate, settings.gate)
        found = segments.cut(table.rows[index], gate.raw, spec)
        self.close(index[found.closing], "silence", result)

        self._begin(index[found.opening])
        rows = table.rows[index]
        segments.begin(rows, found, rate, first_offsets)
        segments.add_speech(rows, gate.raw, energies, rate)
        self._predict(index, rows, windows, segments.speech_steps(rows, found, gate.active), rate, result)
        rows["clock"] += block_samples(rate)
        rows["last_offset"] = last_offsets
        table.rows[index] = rows

        too_long = segments.too_long(rows, rate, spec)
        self.close(index[too_long], "length", result)
        if result.told:
            return
        for some, model in self._by_model(index[segments.update_due(rows, rate, spec) & ~too_long]):
            result.written += self._events.updates(self._events.utterances(some, model))

    def _gate(self, index: Rows, energies: NDArray[np.int64], rate: int, gate: Gate) -> GateDecision:
        rows = self._table.rows
        before = GateState(rows["floor"][index], rows["since_speech"][index])
        decision = gate.step(energies, hop_samples(rate), before)
        rows["floor"][index], rows["since_speech"][index] = decision.state
        return decision

    def _begin(self, index: Rows) -> None:
        """Start segments: from the state of silence, and the model that is their calls' from here on."""
        if not index.size:
            return
        table, slots = self._table, self._models.slots_by(self._table.lot[index])
        table.state[index] = 0
        table.logits[index] = 0
        changed = table.model[index] != slots
        for row, slot in zip(index[changed], slots[changed], strict=True):
            if self._models[int(table.model[row])].card.labels != self._models[slot].card.labels:
                # Sums over other labels cannot be continued: the summary speaks of the new ones.
                table.totals[row] = 0
                table.rows[row]["total_steps"] = 0
            caller_memory.forget_model(table.rows[row])
            table.heard[row] = 0
        table.model[index] = slots

    def _predict(
        self,
        index: Rows,
        rows: NDArray[np.void],
        windows: Samples,
        steps: NDArray[np.bool_],
        rate: int,
        result: FeedResult,
    ) -> None:
        """Run the network for the streams that speak, and follow their pitch; `rows` is updated in place."""
        table = self._table
        speaking = steps.any(axis=1)
        for slot in distinct(table.model[index[speaking]]):
            model = self._models[slot]
            pick = np.flatnonzero(speaking & (table.model[index] == slot))
            at, window = index[pick], model.front_end.window_samples(rate)
            features = model.front_end.compute(windows[pick, -window:], rate)
            if self._measure and not result.told:
                bands = drift.of_blocks(features, steps[pick], model.card.front_end.context_frames)
                result.measured.append(drift.Measured(model.card.version, bands))
            state = table.state[at, : model.card.network.state_size]
            logits, after = model.runtime.run(features, steps[pick].astype(np.float32), state)
            table.logits[at, : logits.shape[1]], table.state[at, : after.shape[1]] = logits, after
        rows["steps"] += steps.sum(axis=1).astype(np.int32)
        log_pitch, voiced = pitch_sums(track_pitch(windows, rate, steps & SPARSE))
        rows["log_pitch"] += log_pitch
        rows["voiced"] += voiced.astype(np.int32)

    def _tell(self, said: Utterances, ended_by: str, result: FeedResult) -> None:
        """The events of segments that have ended, and their figures."""
        result.written += self._events.segments(said, ended_by)
        if self._measure:
            figures = drift.of_utterances(said.model.card.labels, said.alone, said.rows, said.measured)
            result.measured.append(drift.Measured(said.model.card.version, figures))

    def _remember(self, said: Utterances) -> None:
        """Count segments that have ended into their streams' totals and their callers' memory."""
        table, index, model = self._table, said.index, said.model
        rows, labels = said.rows, len(model.card.labels)
        weighted = rows["steps"][:, None] * np.log(np.maximum(said.probabilities, 1e-9))
        table.totals[index, :labels] += weighted
        segments.add_to_totals(rows)
        caller_memory.remember(rows, said.measured)
        heard = table.heard[index, :labels]
        rows["heard_steps"] = model.caller_normal.add(heard, rows["heard_steps"], said.alone, rows["steps"])
        table.heard[index, :labels] = heard
        table.rows[index] = rows

    def _by_model(self, index: Rows) -> Iterator[tuple[Rows, Model]]:
        """The rows `index` by the model that predicts them: mostly there is one."""
        slots = self._table.model[index]
        for slot in distinct(slots):
            yield index[slots == slot], self._models[slot]
