"""Load for measurements: many streams that speak all the time, a chunk of half a second each in turn."""

import threading
import time
from collections import deque
from contextlib import closing
from datetime import timedelta

from kafka import KafkaProducer, TopicPartition

from schemas.audio import AudioChunk
from schemas.topics import Topics
from tests.chaos.plan import START
from tests.chaos.watcher import assign_all
from tests.support.streams import customer, cut
from undertone.messaging.clients import admin, audio_producer, reader
from undertone.messaging.settings import KafkaSettings

CHUNK_S = 0.5


class Load:
    """Streams that go on as they are told to. Each hears the same call, from its beginning again and again."""

    def __init__(self, settings: KafkaSettings, streams: int) -> None:
        samples, rate = customer()
        self._pieces = cut(samples, rate, int(rate * CHUNK_S), end=False)[:-1]  # the last is shorter
        self._size = int(rate * CHUNK_S)
        self._topic = Topics(settings.topic_prefix).call_audio.name
        self._producer: KafkaProducer = audio_producer(settings)
        self._streams = streams
        self._turn = 0

    def send_round(self) -> None:
        """One chunk of every stream."""
        for number in range(self._streams):
            self._send(number)
        self._turn += 1
        self._producer.flush()

    def send_until(self, over: threading.Event, per_second: float) -> None:
        """Chunks of the streams in turn, evenly in time."""
        start, number = time.monotonic(), 0
        while not over.is_set():
            now = time.monotonic()
            due = int((now - start) * per_second)
            for _ in range(due - number):
                self._send(number % self._streams)
                number += 1
                if number % self._streams == 0:
                    self._turn += 1
            time.sleep(0.02)
        # Streams in the middle of a round: the rest of it, so that all stand at the same chunk.
        for rest in range(number % self._streams, self._streams if number % self._streams else 0):
            self._send(rest)
        self._turn += int(number % self._streams > 0)
        self._producer.flush()

    def close(self) -> None:
        """Let go of the client."""
        self._producer.close()

    def streams(self) -> dict[str, list[AudioChunk]]:
        """All that was sent, by stream."""
        sent = [[self._chunk(number, turn) for turn in range(self._turn)] for number in range(self._streams)]
        return {chunks[0].stream: chunks for chunks in sent if chunks}

    def _chunk(self, number: int, turn: int) -> AudioChunk:
        # Each begins elsewhere in the call, so that at any time some of them speak.
        return self._pieces[(turn + number) % len(self._pieces)].model_copy(
            update={
                "call_id": f"call-{number:05d}",
                "sequence": turn,
                "first_sample": turn * self._size,
                "start_time": START + timedelta(seconds=number),
            }
        )

    def _send(self, number: int) -> None:
        chunk = self._chunk(number, self._turn)
        self._producer.send(self._topic, key=chunk.stream.encode(), value=chunk.audio, headers=chunk.headers())


class Clock:
    """When events of each partition of `call-audio` became visible to a read_committed reader."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.seen: dict[int, deque[float]] = {}
        self._settings = settings
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)
        self._thread.start()

    def first_after(self, partition: int, moment: float) -> float | None:
        """When the partition's first event after `moment` came, None where none has come yet."""
        return next((at for at in tuple(self.seen.get(partition, ())) if at > moment), None)

    def close(self) -> None:
        """Stop reading."""
        self._ending.set()
        self._thread.join(30)

    def _run(self) -> None:
        # Stream and event topics have equally many partitions and one partitioner: an event lies where its audio lies.
        with closing(reader(self._settings, auto_offset_reset="earliest")) as consumer:
            assign_all(consumer, Topics(self._settings.topic_prefix).emotion_events.name)
            while not self._ending.is_set():
                for partition, records in consumer.poll(timeout_ms=100).items():
                    now = time.monotonic()
                    self.seen.setdefault(partition.partition, deque(maxlen=100_000)).extend([now] * len(records))


def lag(settings: KafkaSettings) -> int:
    """Records of audio that the group has not committed."""
    group = f"{settings.topic_prefix}undertone-workers"
    with closing(admin(settings)) as client:
        committed = {at: entry.offset for at, entry in client.list_group_offsets(group)[group].items()}
    with closing(reader(settings)) as consumer:
        name = Topics(settings.topic_prefix).call_audio.name
        ends = consumer.end_offsets([TopicPartition(name, number) for number in consumer.partitions_for_topic(name)])
    return sum(end - max(committed.get(at, 0), 0) for at, end in ends.items())
