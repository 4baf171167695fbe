"""The engine: audio chunks in, emotion events out. Pure: no clock, no Kafka, no randomness.

    result = engine.feed(chunks)       # chunks of many streams, each stream's in order
    records = engine.take_changes()    # what to save, once per stream
    engine.replay(chunks, model)       # what an engine has heard that is gone, beyond what was saved of it

Work is done in blocks of 250 ms on each stream's own sample index, for all streams that have one at once. So a
stream's events depend on its samples alone: not on where the chunks were cut, nor on what else was in a batch.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from schemas.audio import AudioChunk, RecordPlace, Role
from undertone.acoustics.frames import RATES
from undertone.inference.blocks import Blocks
from undertone.inference.ended import EndedStreams
from undertone.inference.events import EventWriter
from undertone.inference.intake import FeedResult, Intake
from undertone.inference.model import Model
from undertone.inference.model_slots import ModelSlots
from undertone.inference.records import Ended, StreamKey, read_record
from undertone.inference.routing import Route
from undertone.inference.runs import Buffers, Run
from undertone.inference.streams import StreamTable
from undertone.inference.unsaved import Unsaved

# Chunks, or streams to close. Half a second of 500 streams takes 23 MB of scratch memory; of 2,000 it would be 80,
# for the same time a chunk.
_AT_ONCE = 500


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
        measure: bool = False,
    ) -> None:
        """With `measure` results have the figures of what was heard, too."""
        self._models = ModelSlots(model)
        self._table = StreamTable(model.card.network.state_size, len(model.card.labels))
        self._unsaved = Unsaved()
        self._idle_ms = int(idle_seconds * 1000)
        self._ended = EndedStreams(max_streams, self._idle_ms, self._unsaved.save_now)
        self._intake = Intake(self._table, self._ended, self._models, max_streams)
        self._events = EventWriter(self._table)
        self._blocks = Blocks(self._table, self._models, self._events, measure=measure)
        self._analyze_agent = analyze_agent

    @property
    def model(self) -> Model:
        """The model that new segments take."""
        return self._models.current

    @property
    def model_versions(self) -> set[str]:
        """Versions that a restored stream can go on with."""
        return self._models.versions

    @property
    def route(self) -> Route:
        """The models that new segments take, by call."""
        return self._models.route

    def model_named(self, version: str) -> Model | None:
        """The model of this version, if it is loaded."""
        slot = self._models.slot_of(version)
        return None if slot is None else self._models[slot]

    @property
    def open_streams(self) -> int:
        """Streams that have begun and not ended."""
        return len(self._table)

    def feed(self, chunks: Sequence[AudioChunk]) -> FeedResult:
        """Process chunks. Of one stream they come in the order in which they were sent.

        Chunks that cannot be used are in the result's `rejected`; nothing is raised for any valid `AudioChunk`.
        """
        return self._hear(chunks, FeedResult())

    def _hear(self, chunks: Sequence[AudioChunk], result: FeedResult) -> FeedResult:
        if len(chunks) > _AT_ONCE:
            chunks = _side_by_side(chunks)
        for start in range(0, len(chunks), _AT_ONCE):
            self._hear_some(chunks[start : start + _AT_ONCE], result)
        return result

    def _hear_some(self, chunks: Sequence[AudioChunk], result: FeedResult) -> None:
        waiting: dict[StreamKey, deque[AudioChunk]] = {}
        for chunk in chunks:
            if chunk.role is Role.AGENT and not self._analyze_agent:
                result.skipped += 1
            else:
                waiting.setdefault(_key(chunk), deque()).append(chunk)
        while waiting:
            plain = self._intake.take_plain(waiting)
            runs = [run for key, queue in waiting.items() if (run := self._take(key, queue, plain.get(key), result))]
            if runs:
                self._process(runs, result)
            waiting = {key: queue for key, queue in waiting.items() if queue}

    def close_idle(self, partition: int, now_ms: int) -> FeedResult:
        """End the streams of `partition` whose last chunk is older than the idle time, at its event time `now_ms`."""
        result = FeedResult()
        runs = [Run(row, ended_by="idle") for row in self._table.idle(partition, now_ms - self._idle_ms).tolist()]
        for start in range(0, len(runs), _AT_ONCE):
            self._process(runs[start : start + _AT_ONCE], result, now_ms)
        self._ended.expire(partition, now_ms)
        self._table.shrink()
        return result

    def event_time(self, partition: int) -> int | None:
        """Of the newest chunk of `partition` that is remembered, in ms; None where no stream is."""
        known = (self._table.newest_ms(partition), self._ended.newest_ms(partition))
        return max((time for time in known if time is not None), default=None)

    def switch_model(self, model: Model, canary: Model | None = None, share: float = 0.0) -> None:
        """Take new models: each stream's next segment is predicted with its own, an open one ends with the old.

        A share of the calls, by lot, has the canary.
        """
        in_use = {self._models[slot].card.version for slot in self._table.models()}
        self._models.switch(Route(model, canary, share), in_use | self._ended.versions())
        for new in (model, canary):
            if new:
                self._make_room(new)

    def add_model(self, model: Model) -> None:
        """Keep a model for streams that `restore` brings back in the middle of a segment; no new one takes it."""
        self._models.add(model)
        self._make_room(model)

    def replay(self, chunks: Sequence[AudioChunk], model: Model, canary: Model | None = None, share: float = 0) -> None:
        """Hear chunks again that an engine had heard while it had these models; all events of them have been told.

        They are of streams that have a record: a stream without one had been forgotten by then.
        """
        for one in (model, canary):
            if one and one.card.version not in self._models.versions:
                self.add_model(one)
        with self._models.using(Route(model, canary, share)):
            self._hear(chunks, FeedResult(told=True))

    def take_changes(self, before: Mapping[int, int] | None = None) -> list[StateRecord]:
        """State records of the streams that changed since they were last taken, one each.

        With offsets by partition in `before` only of these partitions, and only those that cannot wait or have waited
        since a chunk before that offset.
        """
        return [StateRecord(key[1], key[0], self._record(key)) for key in self._unsaved.take(before)]

    def forget_changes(self) -> None:
        """Count all as saved, for an engine whose streams nobody goes on with."""
        self._unsaved.take(None)

    def unsaved_since(self, partition: int) -> RecordPlace | None:
        """The oldest chunk of a partition that is not in the records taken so far; None where all are."""
        return self._unsaved.since(partition)

    def restore(self, stream: str, partition: int, value: bytes, topic: str | None = None) -> None:
        """Take back a stream from its state record; `topic` is where its audio lies.

        An open segment whose model is not loaded begins again with the current one. An agent's stream is given up
        where agents are not analysed: it was heard when they were, and nothing more may be said of it.

        Raises:
            ValueError: the record is damaged or of another format.
        """
        self._forget((partition, stream))
        record = read_record(value)
        going_on = record.idle if isinstance(record, Ended) else record
        if going_on and going_on.row["agent"] and not self._analyze_agent:
            self.delete(stream, partition)
        elif isinstance(record, Ended):
            self._ended.restore((partition, stream), record)
        else:
            self._intake.put_back(stream, partition, topic, record)

    def delete(self, stream: str, partition: int) -> None:
        """Forget a stream and have its state record deleted."""
        self._forget((partition, stream))
        self._unsaved.save_now((partition, stream))

    def drop(self, partition: int) -> None:
        """Forget a partition's streams: it belongs to another worker now."""
        for row in self._table.rows_of(partition).tolist():
            self._forget(self._table.key(row))
        self._ended.drop(partition)
        self._unsaved.drop(partition)

    def _take(self, key: StreamKey, queue: deque[AudioChunk], plain: Run | None, result: FeedResult) -> Run | None:
        """The run that comes of a stream's waiting chunks: `plain`, where nothing else than that can come of them."""
        place, known = queue[0].place, key in self._table
        if plain:
            queue.clear()
        run = plain or self._intake.take(key, queue, result)
        if run and known:
            self._unsaved.heard(key, place)
        elif run:
            self._unsaved.save_now(key)  # it has begun
        return run

    def _process(self, runs: Sequence[Run], result: FeedResult, now_ms: int | None = None) -> None:
        """Process every whole block of `runs`, carry the rest, and end the streams that end."""
        for run in runs:
            if run.ended_by:
                fields = self._table.rows[run.row]
                fields["last_sample"] = fields["clock"] + fields["held"] + run.length
        rates = self._table.rows["rate"][[run.row for run in runs]]
        for rate in RATES:
            of_rate = [runs[n] for n in np.flatnonzero(rates == rate).tolist()]
            if of_rate:
                buffers = Buffers(of_rate, self._table, rate)
                self._blocks.hear(buffers, rate, result)
                buffers.keep(self._table)
        for run in runs:
            if run.ended_by:
                self._end(run, result, now_ms)

    def _end(self, run: Run, result: FeedResult, now_ms: int | None) -> None:
        """End a stream: its open segment, its summary, and a marker that knows late chunks."""
        row, fields, model = run.row, self._table.rows[run.row], self._model_of(run.row)
        if fields["open"]:
            self._blocks.close(np.array([row]), "end", result)
        result.written.append(self._events.summary(row, model, run.ended_by))
        idle = None
        if run.ended_by == "idle":
            idle = self._table.idle_record(row, model.card.version, len(model.card.labels))
        ended = Ended(int(fields["start_us"]), int(fields["sequence"]), now_ms or int(fields["seen_ms"]), idle)
        self._ended.add(self._table.key(row), ended)
        self._table.remove(row)

    def _record(self, key: StreamKey) -> bytes | None:
        row, ended = self._table.row(key), self._ended.get(key)
        if row is not None:
            card = self._model_of(row).card
            return self._table.record(row, card.version, card.network.state_size, len(card.labels)).pack()
        return ended.pack() if ended else None

    def _forget(self, key: StreamKey) -> None:
        row = self._table.row(key)
        if row is not None:
            self._table.remove(row)
        self._ended.forget(key)
        self._unsaved.forget(key)

    def _make_room(self, model: Model) -> None:
        labels = len(model.card.labels)
        self._table.widen(state=model.card.network.state_size, logits=labels, totals=labels, heard=labels)

    def _model_of(self, row: int) -> Model:
        return self._models[int(self._table.model[row])]


def _side_by_side(chunks: Sequence[AudioChunk]) -> list[AudioChunk]:
    """Every stream's first chunk, then every second one: a backlog comes partition by partition, stream by stream.

    What is heard at once is then of as many streams as there are, and costs the least for each of them.
    """
    before: Counter[StreamKey] = Counter()
    places = []
    for chunk in chunks:
        key = _key(chunk)
        places.append(before[key])
        before[key] += 1
    return [chunks[n] for n in np.argsort(places, kind="stable").tolist()]


def _key(chunk: AudioChunk) -> StreamKey:
    return chunk.place.partition if chunk.place else 0, chunk.stream
