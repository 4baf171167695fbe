"""The engine: audio chunks in, emotion events out. Pure: no clock, no Kafka, no randomness.

    result = engine.feed(chunks)       # chunks of many streams, each stream's in order
    records = engine.take_changes()    # what to save, once per stream

Work is done in blocks of 250 ms on each stream's own sample index, for all streams that have one at once. So a
stream's events depend on its samples alone: not on where the chunks were cut, nor on what else was in a batch.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.audio import AudioChunk, Role
from undertone.acoustics.frames import BLOCK_FRAMES, block_samples, hop_samples
from undertone.acoustics.gate import GateDecision, GateState
from undertone.acoustics.level import sum_squares
from undertone.acoustics.pitch import pitch_sums, track_pitch
from undertone.inference import segments
from undertone.inference.events import EventWriter
from undertone.inference.intake import FeedResult, Intake
from undertone.inference.model import Model
from undertone.inference.runs import Buffer, Run, Samples
from undertone.inference.streams import Ended, StreamTable, lookback, pack_ended, read_record

Rows = NDArray[np.intp]
# What a closed segment adds to its stream's totals.
_TOTALS = {
    "speech_frames": "total_frames",
    "steps": "total_steps",
    "energy": "total_energy",
    "log_pitch": "total_log_pitch",
    "voiced": "total_voiced",
}


@dataclass(frozen=True, slots=True)
class StateRecord:
    """One changelog record: `value` None deletes the stream's state."""

    stream: str
    partition: int
    value: bytes | None


class Engine:
    """Many streams at once. Give it chunks, publish its events, save its changes."""

    def __init__(
        self,
        model: Model,
        *,
        analyze_agent: bool = False,
        max_streams: int = 20_000,
        idle_seconds: float = 300,
    ) -> None:
        self._models: list[Model | None] = [model]  # by slot, None where no stream needs it any more
        self._current = 0
        self._table = StreamTable(model.card.network.state_size, len(model.card.labels))
        self._ended: dict[str, tuple[int, Ended]] = {}  # stream -> partition, marker
        self._dirty: dict[str, int] = {}  # stream -> partition
        self._intake = Intake(self._table, self._ended, max_streams)
        self._events = EventWriter(self._table)
        self._analyze_agent = analyze_agent
        self._idle_ms = int(idle_seconds * 1000)
        self._intake.open_with(0, model)

    @property
    def model(self) -> Model:
        """The model that new segments take."""
        return self._in_slot(self._current)

    @property
    def model_versions(self) -> set[str]:
        """Versions that a restored stream can go on with."""
        return {model.card.version for model in self._models if model}

    @property
    def open_streams(self) -> int:
        """Streams that have begun and not ended."""
        return len(self._table)

    def feed(self, chunks: Sequence[AudioChunk]) -> FeedResult:
        """Process chunks. Of one stream they come in the order in which they were sent.

        Chunks that cannot be used are in the result's `rejected`; nothing is raised for any valid `AudioChunk`.
        """
        result = FeedResult()
        waiting: dict[str, deque[AudioChunk]] = {}
        for chunk in chunks:
            if chunk.role is Role.AGENT and not self._analyze_agent:
                result.skipped += 1
            else:
                waiting.setdefault(chunk.stream, deque()).append(chunk)
        while waiting:
            runs = [run for stream, queue in waiting.items() if (run := self._take(stream, queue, result))]
            self._process(runs, result)
            waiting = {stream: queue for stream, queue in waiting.items() if queue}
        return result

    def close_idle(self, partition: int, now_ms: int) -> FeedResult:
        """End the streams of `partition` whose last chunk is older than the idle time, in event time."""
        result = FeedResult()
        before = now_ms - self._idle_ms
        idle = [
            Run(row, ended_by="idle")
            for _, row in self._table.streams()
            if self._table.partition[row] == partition and self._table.rows[row]["seen_ms"] < before
        ]
        for run in idle:
            self._dirty[self._table.names[run.row]] = partition
        self._process(idle, result)
        for stream, (where, ended) in list(self._ended.items()):
            if where == partition and ended.ended_ms < before - self._idle_ms:
                del self._ended[stream]
                self._dirty[stream] = partition
        return result

    def switch_model(self, model: Model) -> None:
        """Take a new model: each stream's next segment is predicted with it, an open one ends with the old."""
        used = {int(self._table.model[row]) for _, row in self._table.streams()}
        self._models = [old if slot in used else None for slot, old in enumerate(self._models)]
        self._current = len(self._models)
        self.add_model(model)
        self._intake.open_with(self._current, model)

    def add_model(self, model: Model) -> None:
        """Keep a model for streams that `restore` brings back in the middle of a segment; no new one takes it."""
        self._models.append(model)
        self._table.widen(model.card.network.state_size, len(model.card.labels))

    def take_changes(self) -> list[StateRecord]:
        """State records of the streams that changed since the last call, one each."""
        records = [StateRecord(stream, partition, self._record(stream)) for stream, partition in self._dirty.items()]
        self._dirty.clear()
        return records

    def restore(self, stream: str, partition: int, value: bytes, topic: str | None = None) -> None:
        """Take back a stream from its state record; `topic` is where its audio lies.

        An open segment whose model is not loaded begins again with the current one.

        Raises:
            ValueError: the record is damaged or of another format.
        """
        self._forget(stream)
        record = read_record(value)
        if isinstance(record, Ended):
            self._ended[stream] = (partition, record)
            return
        slots = {model.card.version: slot for slot, model in enumerate(self._models) if model}
        slot = slots.get(record.version, self._current)
        self._table.unpack(stream, partition, topic, record, slot, same_model=record.version in slots)

    def drop(self, partition: int) -> None:
        """Forget a partition's streams: it belongs to another worker now."""
        rows = [stream for stream, row in self._table.streams() if self._table.partition[row] == partition]
        markers = [stream for stream, (where, _) in self._ended.items() if where == partition]
        for stream in (*rows, *markers):
            self._forget(stream)

    def _take(self, stream: str, queue: deque[AudioChunk], result: FeedResult) -> Run | None:
        run = self._intake.take(stream, queue, result)
        if run:
            self._dirty[stream] = int(self._table.partition[run.row])
        return run

    def _process(self, runs: Sequence[Run], result: FeedResult) -> None:
        """Process every whole block of `runs`, carry the rest, and end the streams that end."""
        for run in runs:
            if run.ended_by:
                fields = self._table.rows[run.row]
                fields["last_sample"] = fields["clock"] + fields["held"] + run.length
        for rate in (8000, 16000):
            buffers = [Buffer(run, self._table) for run in runs if self._table.rows[run.row]["rate"] == rate]
            for turn in range(max((buffer.blocks for buffer in buffers), default=0)):
                due = [buffer for buffer in buffers if turn < buffer.blocks]
                self._block(due, turn, rate, result)
            for buffer in buffers:
                buffer.keep(self._table)
        for run in runs:
            if run.ended_by:
                self._end(run, result)

    def _block(self, buffers: Sequence[Buffer], turn: int, rate: int, result: FeedResult) -> None:
        """One block of each of B streams of one rate: gate, segments, network, events."""
        table, spec = self._table, self.model.card.segments
        index = np.array([buffer.row for buffer in buffers])
        windows = np.stack([buffer.window(turn) for buffer in buffers])
        first_offsets, last_offsets = np.array([buffer.block_offsets(turn) for buffer in buffers]).T

        energies = sum_squares(windows[:, lookback(rate) :].reshape(-1, BLOCK_FRAMES, hop_samples(rate)))
        gate = self._gate(index, energies, rate)
        found = segments.cut(table.rows[index], gate.raw, spec)
        self._close(index[found.closing], "silence", result)

        rows = table.rows[index]
        segments.begin(rows, found, rate, first_offsets)
        self._begin(index[found.opening])
        segments.add_speech(rows, gate.raw, energies, rate)
        self._predict(index, rows, windows, segments.speech_steps(rows, found, gate.active), rate)
        rows["clock"] += block_samples(rate)
        rows["last_offset"] = last_offsets
        table.rows[index] = rows

        too_long = segments.too_long(rows, rate, spec)
        self._close(index[too_long], "length", result)
        for row in index[segments.update_due(rows, rate, spec) & ~too_long]:
            result.events.append(self._events.update(row, self._model_of(row)))

    def _gate(self, index: Rows, energies: NDArray[np.int64], rate: int) -> GateDecision:
        rows = self._table.rows
        before = GateState(rows["floor"][index], rows["since_speech"][index])
        decision = self.model.gate.step(energies, hop_samples(rate), before)
        rows["floor"][index], rows["since_speech"][index] = decision.state
        return decision

    def _begin(self, index: Rows) -> None:
        """Start segments: from the state of silence, and the current model from here on."""
        table, slot = self._table, self._current
        table.state[index] = 0
        table.logits[index] = 0
        for row in index[table.model[index] != slot]:
            if self._model_of(row).card.labels != self.model.card.labels:
                # Sums over other labels cannot be continued: the summary speaks of the new ones.
                table.totals[row] = 0
                table.rows[row]["total_steps"] = 0
        table.model[index] = slot

    def _predict(
        self, index: Rows, rows: NDArray[np.void], windows: Samples, steps: NDArray[np.bool_], rate: int
    ) -> None:
        """Run the network for the streams that speak, and follow their pitch; `rows` is updated in place."""
        table = self._table
        speaking = steps.any(axis=1)
        for slot in np.unique(table.model[index[speaking]]):
            model = self._in_slot(slot)
            pick = np.flatnonzero(speaking & (table.model[index] == slot))
            at, window = index[pick], model.front_end.window_samples(rate)
            features = model.front_end.compute(windows[pick, -window:], rate)
            state = table.state[at, : model.card.network.state_size]
            logits, after = model.runtime.run(features, steps[pick].astype(np.float32), state)
            table.logits[at, : logits.shape[1]], table.state[at, : after.shape[1]] = logits, after
        rows["steps"] += steps.sum(axis=1).astype(np.int32)
        log_pitch, voiced = pitch_sums(track_pitch(windows[speaking], rate) * steps[speaking])
        rows["log_pitch"][speaking] += log_pitch
        rows["voiced"][speaking] += voiced.astype(np.int32)

    def _close(self, index: Rows, ended_by: str, result: FeedResult) -> None:
        """End open segments: an event each, or a counted click, and their share of the stream's summary."""
        for row in index:
            fields, model = self._table.rows[row], self._model_of(row)
            fields["open"] = False
            if segments.click(fields, model.card.segments):
                result.clicks += 1
                continue
            result.events.append(self._events.segment(row, model, ended_by))
            probabilities = model.probabilities(self._table.logits[row : row + 1, : len(model.card.labels)])[0]
            self._table.totals[row, : probabilities.size] += fields["steps"] * np.log(np.maximum(probabilities, 1e-9))
            fields["segments"] += 1
            for name, total in _TOTALS.items():
                fields[total] += fields[name]

    def _end(self, run: Run, result: FeedResult) -> None:
        """End a stream: its open segment, its summary, and a marker that knows late chunks."""
        row, fields = run.row, self._table.rows[run.row]
        if fields["open"]:
            self._close(np.array([row]), "end", result)
        result.events.append(self._events.summary(row, self._model_of(row), run.ended_by))
        ended = Ended(int(fields["start_us"]), int(fields["sequence"]), int(fields["seen_ms"]))
        self._ended[self._table.names[row]] = (int(self._table.partition[row]), ended)
        self._table.remove(row)

    def _record(self, stream: str) -> bytes | None:
        row = self._table.row(stream)
        if row is not None:
            card = self._model_of(row).card
            return self._table.pack(row, card.version, card.network.state_size, len(card.labels))
        return pack_ended(self._ended[stream][1]) if stream in self._ended else None

    def _forget(self, stream: str) -> None:
        row = self._table.row(stream)
        if row is not None:
            self._table.remove(row)
        self._ended.pop(stream, None)
        self._dirty.pop(stream, None)

    def _in_slot(self, slot: int) -> Model:
        model = self._models[slot]
        if model is None:
            raise LookupError(f"model slot {slot} was given up while a stream used it")
        return model

    def _model_of(self, row: int) -> Model:
        return self._in_slot(int(self._table.model[row]))
