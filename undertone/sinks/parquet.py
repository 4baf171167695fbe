"""Parquet files by hour, on a disk or in an object store; see `manifests` for how each event comes to be there once."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from undertone.sinks.events import StoredEvent
from undertone.sinks.manifests import CommitLog, StagedFile
from undertone.sinks.target import Batch, Fenced, Limits, Source, Written
from undertone.storage.store import open_store

# What is not data lies here: readers pass over such folders, and none of its files is called .parquet.
_OURS = "_undertone"
_MOMENT = pa.timestamp("us", tz="UTC")
_NOT_NULL = {"id", "type", "call_id", "channel", "role", "label", "ended_at", "kafka_topic", "kafka_partition"}
_TYPES = {
    "id": pa.string(),
    "type": pa.string(),
    "call_id": pa.string(),
    "channel": pa.string(),
    "role": pa.string(),
    "stream_started_at": _MOMENT,
    "started_at": _MOMENT,
    "ended_at": _MOMENT,
    "start_sample": pa.int64(),
    "end_sample": pa.int64(),
    "sample_rate": pa.int32(),
    "label": pa.string(),
    "probabilities": pa.map_(pa.string(), pa.float64()),
    "speech_s": pa.float64(),
    "level_dbfs": pa.float64(),
    "pitch_hz": pa.float64(),
    "emotion_group": pa.string(),
    "emotion_groups": pa.map_(pa.string(), pa.float64()),
    "arousal": pa.float64(),
    "valence": pa.float64(),
    "relative_level": pa.float64(),
    "relative_pitch": pa.float64(),
    "relative_arousal": pa.float64(),
    "model_version": pa.string(),
    "ended_by": pa.string(),
    "segments": pa.int64(),
    "audio_topic": pa.string(),
    "audio_partition": pa.int32(),
    "audio_first_offset": pa.int64(),
    "audio_last_offset": pa.int64(),
    "kafka_topic": pa.string(),
    "kafka_partition": pa.int32(),
    "kafka_offset": pa.int64(),
}
SCHEMA = pa.schema([pa.field(name, kind, nullable=name not in _NOT_NULL) for name, kind in _TYPES.items()])


class Parquet:
    """A folder of Parquet files, and a commit log for each partition."""

    name = "Parquet"
    # A file for each partition and hour in a batch: one a minute and partition is what readers bear well.
    limits = Limits(records=100_000, bytes=64 * 1024 * 1024, seconds=60)
    keeps_positions = True
    drops_repeats = False

    def __init__(self, url: str) -> None:
        self._store = open_store(url, "--to")
        self._writer = uuid4().hex
        self._logs: dict[tuple[Source, int], CommitLog] = {}

    def open(self) -> str:
        """The id of the folder, which the first sink gives it; see `Target.open`."""
        path = f"{_OURS}/place"
        with suppress(FileExistsError):  # all but the first
            self._store.create(path, str(uuid4()).encode())
        return self._store.read(path).decode()

    def claim(self, source: Source, partitions: Collection[int]) -> dict[int, int | None]:
        """Write the next manifest of each partition: no other sink can write that any more."""
        kept = {}
        for number in sorted(partitions):
            folder = f"{source.topic_id}/{number:05d}"
            log = CommitLog(
                self._store,
                f"{_OURS}/manifests/{folder}",
                f"{_OURS}/staging/{folder}",
                self._writer,
                source.topic,
                number,
            )
            kept[number] = log.claim()
            self._logs[source, number] = log
        return kept

    def write(self, source: Source, batch: Batch, stopping: Callable[[], bool]) -> Written:
        """Each partition for itself: its files, and the manifest that makes them count."""
        for number, position in sorted(batch.positions.items()):
            log = self._logs.get((source, number))
            if log is None:
                raise Fenced(f"partition {number} was not claimed")
            events = [event for event in batch.events if event.record.partition == number]
            files = self._stage(source, number, events)
            try:
                log.commit(position, files)
            except Fenced:
                for file in files:  # they were staged behind the new owner's back, which has looked already
                    self._store.remove(file.staged)
                raise
        return Written(batch.positions)

    def close(self) -> None:
        """Nothing is held open."""

    def _stage(self, source: Source, number: int, events: Sequence[StoredEvent]) -> tuple[StagedFile, ...]:
        hours: dict[datetime, list[StoredEvent]] = defaultdict(list)
        for event in events:
            hours[event.envelope.time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)].append(event)
        staged = []
        for hour, of_hour in sorted(hours.items()):
            first, last = of_hour[0].record.offset, of_hour[-1].record.offset
            name = f"{source.topic_id.hex[:8]}-p{number:03d}-{first:012d}-{last:012d}.parquet"
            file = StagedFile(
                staged=f"{_OURS}/staging/{source.topic_id}/{number:05d}/{uuid4().hex}.tmp",
                path=f"date={hour.date().isoformat()}/hour={hour.hour:02d}/{name}",
                rows=len(of_hour),
            )
            self._store.write(file.staged, _file_of(of_hour))
            staged.append(file)
        return tuple(staged)


def _file_of(events: Sequence[StoredEvent]) -> bytes:
    rows = [
        {name: list(value.items()) if isinstance(value, dict) else value for name, value in event.columns().items()}
        for event in events
    ]
    content = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), content, compression="zstd")
    return content.getvalue().to_pybytes()
