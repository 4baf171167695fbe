"""python -m tests.chaos.fuzz_worker: mutated messages through a running worker, with real calls between them.

The worker must live on in one session, give each message it cannot use to `dead-letters` under the reason that the
schema gives, say of the real calls what it says of them alone, and stay within a bound of memory.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from kafka import KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.producer.future import FutureRecordMetadata

from schemas.audio import AudioChunk
from schemas.dead_letters import Rejected
from schemas.events import EventEnvelope
from schemas.topics import Topics
from tests.chaos.load import lag
from tests.chaos.mutate import Message, Mutator, valid
from tests.chaos.plan import Plan
from tests.chaos.verdict import Verdict, by_stream, judge
from tests.chaos.workers import Worker
from tests.support.installation import wait_for
from tests.support.streams import hear
from undertone.devbroker.broker import local_broker
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.messaging.clients import admin, audio_producer, reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics

_PARTITIONS = 2
_LARGEST = 900_000  # a record that the topic takes
_FLUSH = 500
# It ended with 151 MiB after 100,000 messages; fetches and a batch's letters come and go.
MAX_RSS = 400 * 1024 * 1024
# By partition and offset why a message must be refused; None where it is a valid chunk.
Expected = dict[tuple[int, int], str | None]


@dataclass
class Outcome:
    """What the worker made of it."""

    sent: int = 0
    letters: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    sessions: int = 0
    rss_mib: int = 0

    @property
    def passed(self) -> bool:
        """All accounted for, the real calls untouched, one session, memory bounded."""
        return not self.wrong and self.verdict.passed and self.sessions == 1 and self.rss_mib * 2**20 < MAX_RSS


def fuzz_worker(settings: KafkaSettings, directory: Path, messages: int, seed: int) -> Outcome:
    """Send `messages` mutated ones and 2,000 real chunks to a worker of its own; topics must be there."""
    calls = Plan(seed, calls=8, chunks=2000)
    outcome, topics = Outcome(), Topics(settings.topic_prefix)
    worker = Worker(settings, "fuzzed", directory)
    worker.start()
    try:
        worker.ready()
        expected = _send(settings, topics.call_audio.name, calls, messages, seed, outcome)
        # A thousand messages a second on an idle machine; a hundred is slow, less is a hang.
        wait_for(
            lambda: not worker.running or lag(settings) == 0,
            "the worker to have read all",
            120 + messages / 100,
            lambda: worker.output[-4000:],
        )
        if not worker.running:
            outcome.wrong.append(f"the worker ended with {worker.status}: {worker.output[-2000:]}")
            return outcome
        outcome.rss_mib = worker.rss_bytes >> 20
        outcome.sessions = int(worker.metric("undertone_sessions_total"))
        if worker.stop() != 0:
            outcome.wrong.append(f"the worker stopped with {worker.status}")
    finally:
        worker.kill()
    _check_letters(settings, topics, expected, outcome)
    alone = {stream: hear(Engine(Model.load()), chunks) for stream, chunks in calls.streams().items()}
    events = by_stream(
        EventEnvelope.model_validate_json(record.value) for record in _all(settings, topics.emotion_events.name)
    )
    outcome.verdict = judge(alone, {stream: said for stream, said in events.items() if stream in alone})
    return outcome


def _send(settings: KafkaSettings, topic: str, calls: Plan, messages: int, seed: int, outcome: Outcome) -> Expected:
    """Send all, and tell what must become of each mutated message."""
    choose = random.Random(seed)
    real = calls.in_turn()
    chunks = [chunk for stream in Plan(seed + 1, calls=40, chunks=800).streams().values() for chunk in stream]
    # Under names of their own: a real call must not be disturbed by what bears its name and is valid.
    mutator = Mutator([chunk.model_copy(update={"call_id": f"evil-{chunk.call_id}"}) for chunk in chunks], seed)
    every = max(messages // calls.chunks, 1)
    expected: Expected = {}
    pending: list[tuple[FutureRecordMetadata, str | None]] = []
    with closing(audio_producer(settings)) as producer:
        for number in range(messages):
            message = mutator.message()
            if _size(message) <= _LARGEST:
                pending.append((_publish(producer, topic, message), _reason(message)))
            if number % every == 0:
                _publish_all(producer, topic, [next(real, None)])
            if len(pending) >= _FLUSH:
                producer.flush()
                _note(pending, expected)
            if choose.random() < 0.0001:
                time.sleep(0.05)  # so that batches have all kinds of edges
        _publish_all(producer, topic, list(real))
        producer.flush()
        _note(pending, expected)
    outcome.sent = len(expected)
    return expected


def _publish_all(producer: KafkaProducer, topic: str, chunks: list[AudioChunk | None]) -> None:
    for chunk in chunks:
        if chunk is not None:
            _publish(producer, topic, valid(chunk))


def _publish(producer: KafkaProducer, topic: str, message: Message) -> FutureRecordMetadata:
    value = message.value if message.key is not None or message.value is not None else b""
    headers = [(name, text or b"") for name, text in message.headers]  # the client writes no null in a header
    return producer.send(topic, key=message.key, value=value, headers=headers)


def _note(pending: list[tuple[FutureRecordMetadata, str | None]], expected: Expected) -> None:
    for future, reason in pending:
        at = future.get(60)
        expected[at.partition, at.offset] = reason
    pending.clear()


def _size(message: Message) -> int:
    headers = sum(len(name.encode()) + len(value or b"") + 10 for name, value in message.headers)
    return len(message.key or b"") + len(message.value or b"") + headers


def _reason(message: Message) -> str | None:
    try:
        headers = [(name, value or b"") for name, value in message.headers]
        AudioChunk.from_record(message.key, message.value, headers)
    except Rejected as rejected:
        return rejected.reason.value
    return None


def _check_letters(settings: KafkaSettings, topics: Topics, expected: Expected, outcome: Outcome) -> None:
    """Each refused message once, under its reason; of valid ones only what a stream's order can refuse."""
    told: dict[tuple[int, int], str] = {}
    for record in _all(settings, topics.dead_letters.name):
        headers = dict(record.headers)
        at = int(headers["undertone_partition"]), int(headers["undertone_offset"])
        reason = headers["undertone_reason"].decode()
        outcome.letters[reason] += 1
        if at in told:
            outcome.wrong.append(f"two letters for {at}")
        told[at] = reason
    for at, reason in expected.items():
        allowed = (reason,) if reason else (None, "out_of_order", "after_end", "rate_changed")
        if told.get(at) not in allowed:
            outcome.wrong.append(f"{at}: {told.get(at)}, not {reason}")
    strangers = told.keys() - expected.keys()
    if strangers:
        outcome.wrong.append(f"{len(strangers)} real chunks became dead letters")


def _all(settings: KafkaSettings, topic: str) -> Iterator[ConsumerRecord]:
    with closing(reader(settings)) as consumer:
        yield from read_to_end(settings, consumer, partitions_of(consumer, topic))


def main() -> int:
    """Start a Kafka, fuzz, print one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.fuzz_worker", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    start = time.monotonic()
    with local_broker() as broker, tempfile.TemporaryDirectory() as directory:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        with closing(admin(settings)) as client:
            ensure_topics(client, Topics(), partitions=_PARTITIONS)
        outcome = fuzz_worker(settings, Path(directory), options.messages, options.seed)
    said = {
        "messages": outcome.sent,
        "letters": dict(outcome.letters.most_common()),
        "wrong": outcome.wrong[:10],
        "calls": {"events": outcome.verdict.events, "lost": outcome.verdict.lost, "repeated": outcome.verdict.repeated}
        | {"differing": outcome.verdict.differing, "reordered": outcome.verdict.reordered},
        "sessions": outcome.sessions,
        "rss_mib": outcome.rss_mib,
        "seconds": round(time.monotonic() - start),
        "seed": options.seed,
        "passed": outcome.passed,
    }
    sys.stdout.write(json.dumps(said) + os.linesep)
    return 0 if outcome.passed else 1


if __name__ == "__main__":
    sys.exit(main())
