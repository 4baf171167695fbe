"""What the workers' changelog holds of one call."""

import time
from dataclasses import dataclass

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord

from schemas.audio import AudioChunk, Encoding, Role
from undertone.inference.records import OpenRecord, read_record
from undertone.inference.streams import start_time
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings

_POLL_MS = 200
# The greatest sequence number there is: chunks that a producer still sends count as heard before, and are dropped,
# where after another end they would go to the dead letters with their sound.
_LAST_SEQUENCE = 2**53 - 1


@dataclass(frozen=True, slots=True)
class StreamState:
    """A stream's state: of an open one what its next chunk must say, of an ended one (`record` None) nothing."""

    stream: str
    partition: int
    record: OpenRecord | None

    def last_chunk(self) -> AudioChunk:
        """A chunk without sound that ends the stream where it stands."""
        if self.record is None:
            raise ValueError(f"{self.stream} has ended")
        row = self.record.row
        call_id, _, channel = self.stream.partition("/")
        return AudioChunk(
            call_id=call_id,
            channel=channel,
            role=Role.AGENT if row["agent"] else Role.CUSTOMER,
            sequence=_LAST_SEQUENCE,
            first_sample=int(row["clock"]) + int(row["held"]),
            start_time=start_time(int(row["start_us"])),
            encoding=Encoding.L16,
            sample_rate=8000 if row["rate"] == 8000 else 16000,
            audio=b"",
            end_of_stream=True,
        )


class CallStates:
    """The states of a call's streams, as of the last look."""

    def __init__(self, settings: KafkaSettings, consumer: KafkaConsumer, topic: str, call_id: str) -> None:
        self._consumer = consumer
        self._prefix = f"{call_id}/".encode()
        self._states: dict[tuple[str, int], StreamState] = {}
        for record in read_to_end(settings, consumer, partitions_of(consumer, topic)):
            self._note(record)

    @property
    def streams(self) -> list[StreamState]:
        """All of them."""
        return list(self._states.values())

    @property
    def open(self) -> list[StreamState]:
        """Those of streams that have not ended."""
        return [state for state in self._states.values() if state.record]

    def wait_until_ended(self, timeout_s: float) -> bool:
        """Read on until no stream is open; False where the time is up before."""
        give_up = time.monotonic() + timeout_s
        while self.open:
            if time.monotonic() > give_up:
                return False
            for records in self._consumer.poll(timeout_ms=_POLL_MS).values():
                for record in records:
                    self._note(record)
        return True

    def _note(self, record: ConsumerRecord) -> None:
        if not (record.key or b"").startswith(self._prefix):
            return
        stream = record.key.decode(errors="replace")
        place = stream, record.partition
        if record.value is None:
            self._states.pop(place, None)
        else:
            self._states[place] = StreamState(stream, record.partition, _if_open(record.value))


def _if_open(value: bytes) -> OpenRecord | None:
    try:
        record = read_record(value)
    except ValueError:
        return None  # no worker can go on from it either
    return record if isinstance(record, OpenRecord) else None
