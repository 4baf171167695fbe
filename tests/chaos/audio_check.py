"""Whether the audio that an event names is its own: records of its stream, which hold all of its samples."""

from collections.abc import Iterable
from typing import NamedTuple

from kafka.consumer.fetcher import ConsumerRecord

from schemas.audio import AudioChunk, RecordPlace
from schemas.events import EventEnvelope
from tests.chaos.verdict import Verdict
from undertone.acoustics.frames import block_samples


class Piece(NamedTuple):
    """What one record of `call-audio` holds of its stream: samples [start, end)."""

    offset: int
    start: int
    end: int


class AudioIndex:
    """The records of `call-audio` by partition and stream, without their sound."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._pieces: dict[tuple[int, str], list[Piece]] = {}

    def add(self, chunk: AudioChunk) -> None:
        """One more chunk that has its place, in the order of the offsets of its partition."""
        assert chunk.place is not None
        piece = Piece(chunk.place.offset, chunk.first_sample, chunk.first_sample + chunk.samples)
        self._pieces.setdefault((chunk.place.partition, chunk.stream), []).append(piece)

    def add_record(self, record: ConsumerRecord) -> None:
        """The chunk of a record."""
        place = RecordPlace(
            topic=record.topic, partition=record.partition, offset=record.offset, timestamp_ms=record.timestamp
        )
        self.add(AudioChunk.from_record(record.key, record.value, record.headers, place))

    def judge(self, events: Iterable[EventEnvelope]) -> Verdict:
        """Events whose audio is not their own count as differing."""
        verdict = Verdict()
        for event in events:
            if wrong := self._wrong(event):
                verdict.differing += 1
                data = event.data
                verdict.remark(f"{event.subject}: {data.type} {data.start_sample}-{data.end_sample} {wrong}")
        return verdict

    def _wrong(self, event: EventEnvelope) -> str:
        """What is wrong with the place that an event names; empty where nothing is."""
        data, span = event.data, event.data.audio
        if span is None or span.topic != self._topic:
            return "names no audio"
        mine = self._pieces.get((span.partition, event.subject), [])
        named = [piece for piece in mine if span.first_offset <= piece.offset <= span.last_offset]
        if not named or (named[0].offset, named[-1].offset) != (span.first_offset, span.last_offset):
            return "names records that are not of its stream"
        # Its first record is that of the block in which it begins, so that audio before it is little.
        block = block_samples(data.sample_rate)
        begun = _next_held(mine, data.start_sample // block * block)
        if not named[0].start <= begun < named[0].end:
            return "names audio that does not begin with it"
        # An utterance ends with its last speech; the silence by which that is known is named, too.
        if data.type != "segment" and named[-1].start > _next_held(mine, data.end_sample - 1):
            return "names audio behind it"
        # By their samples, for a piece may come again; what no piece holds is a gap of the stream's own.
        needed = {(piece.start, piece.end) for piece in mine if piece.end > begun and piece.start < data.end_sample}
        held = {(piece.start, piece.end) for piece in named}
        return "" if needed <= held else "names audio that does not hold all of it"


def _next_held(pieces: Iterable[Piece], sample: int) -> int:
    """The first sample from `sample` on that a record holds: a gap is known by the record behind it."""
    return min((max(piece.start, sample) for piece in pieces if piece.end > sample), default=sample)
