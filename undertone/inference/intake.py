"""Intake: puts a stream's chunks in order before anything is made of them.

What a chunk may bring, and what becomes of it:

- a repeat (a sequence number taken before, or only samples taken before): dropped and counted;
- a gap (sequence numbers or samples missing): counted; the missing time counts as silence, so that later
  times stay right;
- out of order (its gap has already counted as silence), after the end, or at another rate: a dead letter;
- a later `start_time` under the same name: the old stream is ended, a new one begins;
- more of a stream that was closed for being idle: it goes on where it stood.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from schemas.audio import AudioChunk, Encoding
from schemas.dead_letters import Reason, Rejected
from schemas.events import EventEnvelope, WrittenEvent
from undertone.acoustics.codecs import decode, decode_all
from undertone.acoustics.frames import block_samples, hop_samples
from undertone.inference.drift import Measured
from undertone.inference.ended import EndedStreams
from undertone.inference.model_slots import ModelSlots
from undertone.inference.records import NO_END, OpenRecord, StreamKey, lookback, offset_of
from undertone.inference.routing import lot_of
from undertone.inference.runs import Run
from undertone.inference.streams import EPOCH, StreamTable


@dataclass
class FeedResult:
    """What came of some chunks: events, and the messages and counts that the caller reports."""

    written: list[WrittenEvent] = field(default_factory=list)
    rejected: list[tuple[AudioChunk, Rejected]] = field(default_factory=list)
    gaps: int = 0
    repeats: int = 0
    clicks: int = 0
    skipped: int = 0
    measured: list[Measured] = field(default_factory=list)  # where the engine is to measure
    told: bool = False  # that all of this has been published: no event but summaries, and no figure is made

    @property
    def events(self) -> list[EventEnvelope]:
        """The events as whoever reads `emotion-events` gets them."""
        return [event.envelope() for event in self.written]


class Intake:
    """Turns waiting chunks into runs of samples: those of most streams together, others one stream at a time."""

    def __init__(self, table: StreamTable, ended: EndedStreams, models: ModelSlots, max_streams: int) -> None:
        self._table = table
        self._ended = ended
        self._models = models
        self._max_streams = max_streams

    def take_plain(self, waiting: Mapping[StreamKey, Sequence[AudioChunk]]) -> dict[StreamKey, Run]:
        """Runs of the streams all of whose chunks go on where the one before ended: nearly all streams, nearly always.

        They are what `take` would make of them, at a third of its cost. Chunks stay in `waiting`.
        """
        known = [(key, queue, row) for key, queue in waiting.items() if (row := self._table.row(key)) is not None]
        rows = self._table.rows[[row for *_, row in known]]
        stands = zip(
            rows["start_us"].tolist(),
            rows["rate"].tolist(),
            rows["sequence"].tolist(),
            (rows["clock"] + rows["held"]).tolist(),
            strict=True,
        )
        runs: dict[StreamKey, Run] = {}
        by_encoding: dict[Encoding, list[tuple[Run, Sequence[AudioChunk]]]] = {}
        for (key, queue, row), stand in zip(known, stands, strict=True):
            if _go_on(queue, *stand):
                runs[key] = Run(row)
                by_encoding.setdefault(queue[0].encoding, []).append((runs[key], queue))
        for encoding, some in by_encoding.items():
            self._add_plain(encoding, some)
        return runs

    def _add_plain(self, encoding: Encoding, some: Sequence[tuple[Run, Sequence[AudioChunk]]]) -> None:
        pieces = iter(decode_all([chunk.audio for _, queue in some for chunk in queue], encoding))
        seen_ms = []
        for run, queue in some:
            newest_ms = 0
            for chunk in queue:
                place = chunk.place
                run.add(next(pieces), offset_of(place))
                if place and place.timestamp_ms > newest_ms:
                    newest_ms = place.timestamp_ms
            seen_ms.append(newest_ms)
        rows, fields = [run.row for run, _ in some], self._table.rows
        fields["sequence"][rows] = [queue[-1].sequence + 1 for _, queue in some]
        fields["seen_ms"][rows] = np.maximum(fields["seen_ms"][rows], seen_ms)

    def take(self, key: StreamKey, waiting: deque[AudioChunk], result: FeedResult) -> Run | None:
        """Take chunks from `waiting` until they are all taken, the stream ends, or silence must be processed first."""
        run: Run | None = None
        while waiting:
            chunk = waiting[0]
            start_us = _start_us(chunk)
            if self._repeats_ended(key, chunk, start_us, result):
                waiting.popleft()
                continue
            try:
                row = self._row_for(key, chunk, start_us)
            except Rejected as rejected:
                result.rejected.append((waiting.popleft(), rejected))
                continue
            run = run or Run(row)
            fields = self._table.rows[row]
            if start_us != fields["start_us"]:
                run.ended_by = "replaced"
                return run
            if not self._in_order(chunk, fields, result):
                waiting.popleft()
                continue
            missing = chunk.first_sample - self._position(run)
            gap_frames = self._models[self._models.slot_by(self._table.lot[row])].card.segments.gap_frames
            longest = gap_frames * hop_samples(chunk.sample_rate) + block_samples(chunk.sample_rate)
            if missing > longest:
                if run.pieces or fields["open"]:
                    # Enough silence to end the segment; what is missing beyond that is skipped the next time.
                    run.add(np.zeros(longest, np.int16), offset_of(chunk.place))
                    return run
                self._skip_to(row, chunk.first_sample, chunk)
                missing = 0
                result.gaps += int(chunk.sequence == fields["sequence"])
            waiting.popleft()
            self._add(run, chunk, missing, result)
            if chunk.end_of_stream:
                run.ended_by = "end"
                return run
        return run

    def _row_for(self, key: StreamKey, chunk: AudioChunk, start_us: int) -> int:
        row = self._table.row(key)
        if row is not None:
            fields = self._table.rows[row]
            if start_us < fields["start_us"]:
                raise Rejected(Reason.OUT_OF_ORDER, "an earlier stream of this name, and a later one has begun")
            if start_us == fields["start_us"] and chunk.sample_rate != fields["rate"]:
                raise Rejected(Reason.RATE_CHANGED, f"{chunk.sample_rate} Hz in a stream of {fields['rate']} Hz")
            return row
        ended = self._ended.get(key)
        if ended and start_us == ended.start_us and not ended.idle:
            raise Rejected(Reason.AFTER_END, f"sequence {chunk.sequence} of a stream that has ended")
        if ended and start_us < ended.start_us:
            raise Rejected(Reason.OUT_OF_ORDER, "an earlier stream of this name, and a later one has ended")
        if len(self._table) >= self._max_streams:
            raise Rejected(Reason.TOO_MANY_STREAMS, f"{self._max_streams} streams are open, the most that is allowed")
        if ended and ended.idle and start_us == ended.start_us:
            return self._reopen(key, chunk, ended.idle)
        return self._open(key, chunk, start_us)

    def _repeats_ended(self, key: StreamKey, chunk: AudioChunk, start_us: int, result: FeedResult) -> bool:
        """Whether a stream that has ended knows all that `chunk` says, or does so now."""
        ended = self._ended.get(key)
        if not ended or start_us != ended.start_us:
            return False
        if chunk.sequence < ended.sequence:
            result.repeats += 1
            return True
        if ended.idle and chunk.end_of_stream and chunk.first_sample + chunk.samples <= ended.idle.row["last_sample"]:
            # The summary that the idle end has brought holds it all: there is to be no second one of the same.
            self._ended.finish(key, chunk.sequence + 1)
            return True
        return False

    def put_back(self, stream: str, partition: int, topic: str | None, record: OpenRecord) -> int:
        """Put a record back into a row, with the model that it names or else with the current one."""
        known = self._models.slot_of(record.version)
        slot = self._models.slot_by(lot_of(stream)) if known is None else known
        return self._table.unpack(stream, partition, topic, record, slot, same_model=known is not None)

    def _reopen(self, key: StreamKey, chunk: AudioChunk, record: OpenRecord) -> int:
        """Go on with a stream that was closed for being idle, from its end."""
        if chunk.sample_rate != record.row["rate"]:
            raise Rejected(Reason.RATE_CHANGED, f"{chunk.sample_rate} Hz in a stream of {record.row['rate']} Hz")
        partition, stream = key
        row = self.put_back(stream, partition, _topic_of(chunk), record)
        self._skip_to(row, int(record.row["last_sample"]), chunk)
        self._table.rows[row]["last_sample"] = NO_END
        self._ended.forget(key)
        return row

    def _open(self, key: StreamKey, chunk: AudioChunk, start_us: int) -> int:
        self._ended.forget(key)
        partition, stream = key
        slot = self._models.slot_by(lot_of(stream))
        gate = self._models[slot].gate.initial_state(1)
        row = self._table.add(stream, partition, _topic_of(chunk), chunk.sample_rate, slot, gate)
        fields = self._table.rows[row]
        fields["start_us"], fields["agent"] = start_us, chunk.role == "agent"
        fields["first_sample"] = chunk.first_sample
        fields["stream_offset"] = offset_of(chunk.place)
        self._skip_to(row, chunk.first_sample, chunk)
        return row

    def _skip_to(self, row: int, sample: int, chunk: AudioChunk) -> None:
        """Move a row without an open segment to `sample`; what stands before it counts as silence.

        An utterance that begins in the block of `sample` is to name `chunk` as its first record: nothing before it is
        its sound.
        """
        fields, rate = self._table.rows[row], int(self._table.rows[row]["rate"])
        block = block_samples(rate)
        fields["clock"], fields["held"] = sample // block * block, sample % block
        fields["held_offset"] = offset_of(chunk.place)
        self._table.make_room(lookback(rate) + sample % block)
        self._table.samples[row] = 0

    def _in_order(self, chunk: AudioChunk, fields: np.void, result: FeedResult) -> bool:
        if chunk.sequence >= fields["sequence"]:
            return True
        if fields["gap_from"] <= chunk.sequence < fields["gap_to"]:
            detail = f"sequence {chunk.sequence} after its gap was taken for silence"
            result.rejected.append((chunk, Rejected(Reason.OUT_OF_ORDER, detail)))
        else:
            result.repeats += 1
        return False

    def _add(self, run: Run, chunk: AudioChunk, missing: int, result: FeedResult) -> None:
        fields = self._table.rows[run.row]
        offset = offset_of(chunk.place)
        if chunk.sequence > fields["sequence"]:
            fields["gap_from"], fields["gap_to"] = fields["sequence"], chunk.sequence
        result.gaps += int(chunk.sequence > fields["sequence"] or missing > 0)
        fields["sequence"] = chunk.sequence + 1
        fields["seen_ms"] = max(int(fields["seen_ms"]), chunk.place.timestamp_ms if chunk.place else 0)
        samples = decode(chunk.audio, chunk.encoding)
        if missing > 0:
            run.add(np.zeros(missing, np.int16), offset)
        elif missing < 0:
            samples = samples[-missing:]
            result.repeats += int(not samples.size and not chunk.end_of_stream)
        if samples.size:
            run.add(samples, offset)

    def _position(self, run: Run) -> int:
        fields = self._table.rows[run.row]
        return int(fields["clock"]) + int(fields["held"]) + run.length


def _topic_of(chunk: AudioChunk) -> str | None:
    return chunk.place.topic if chunk.place else None


def _start_us(chunk: AudioChunk) -> int:
    since = chunk.start_time - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _go_on(chunks: Sequence[AudioChunk], start_us: int, rate: int, sequence: int, sample: int) -> bool:
    """Whether chunks of one encoding continue a stream that stands at `sample`, without anything beside."""
    encoding = chunks[0].encoding
    for chunk in chunks:
        if (
            chunk.sequence != sequence
            or chunk.first_sample != sample
            or chunk.end_of_stream
            or chunk.encoding is not encoding
            or chunk.sample_rate != rate
            or _start_us(chunk) != start_us
        ):
            return False
        sequence, sample = sequence + 1, sample + chunk.samples
    return True
