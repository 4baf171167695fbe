"""python -m tests.chaos.fuzz: mutated messages through all that a worker does before its engine hears a chunk.

Each must come out as a chunk whose samples can be read, or as a dead letter that Kafka would take. Whatever else is
raised is a crash of the worker; a message that takes seconds is a hang; memory that grows is a leak.
"""

import argparse
import faulthandler
import json
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from schemas.audio import MAX_CHUNK_SECONDS
from tests.chaos.mutate import Message, Mutator
from tests.chaos.plan import Plan
from undertone.acoustics.codecs import decode as samples_of
from undertone.messaging.dead_letters import MAX_COPIED_BYTES, dead_letter
from worker.batch import Batch, decode
from worker.event_time import EventTime
from worker.poison_pill import PoisonPills

_PARTITION = TopicPartition("call-audio", 0)
_TOPIC_TAKES = 2 * 1024 * 1024
_BATCH = 200
_HANG_S = 120  # for one batch, on a machine that has much else to do
# A leak of 100 bytes a message would be as much in a million; Python's own fragmentation is half of it.
_MAX_GROWTH = 96 * 1024 * 1024
_KEPT = 5


@dataclass
class Outcome:
    """What became of the messages."""

    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    slowest_ms: float = 0.0


class Fuzzer:
    """Feeds messages, a batch at a time."""

    def __init__(self, seed: int) -> None:
        streams = Plan(seed, calls=30, chunks=600).streams().values()
        self._mutator = Mutator([chunk for chunks in streams for chunk in chunks], seed)
        self._poison_pills = PoisonPills()
        self._event_time = EventTime(None, None, idle_seconds=300)  # type: ignore[arg-type]  # records alone pass it
        self._offset = 0
        self.outcome = Outcome()

    def feed(self, count: int) -> None:
        """Let `count` messages through."""
        while count > 0:
            size = min(count, _BATCH)
            records = [self._record(self._mutator.message()) for _ in range(size)]
            faulthandler.dump_traceback_later(_HANG_S, exit=True)
            start = time.monotonic()
            self._check(records)
            self.outcome.slowest_ms = max(self.outcome.slowest_ms, 1000 * (time.monotonic() - start))
            count -= size
        faulthandler.cancel_dump_traceback_later()

    def _check(self, records: list[ConsumerRecord]) -> None:
        try:
            self._count(decode({_PARTITION: records}, self._poison_pills, self._event_time), len(records))
        except Exception:
            for record in records:  # one of them, or several: which, and by what
                try:
                    self._count(decode({_PARTITION: [record]}, self._poison_pills, self._event_time), 1)
                except Exception as error:
                    if len(self.outcome.crashes) < _KEPT:
                        self.outcome.crashes.append(f"{error!r} on {str(record)[:2000]}")

    def _count(self, batch: Batch, size: int) -> None:
        assert len(batch.chunks) + len(batch.rejected) == size, "a message is neither a chunk nor a dead letter"
        for chunk in batch.chunks:
            samples = samples_of(chunk.audio, chunk.encoding)
            assert len(samples) == chunk.samples <= MAX_CHUNK_SECONDS * chunk.sample_rate
        for record, rejected in batch.rejected:
            key, value, headers = dead_letter(record, rejected, "worker")
            parts = [key or b"", value or b"", *(part for name, text in headers for part in (name.encode(), text))]
            assert sum(map(len, parts)) <= MAX_COPIED_BYTES + 10_000 < _TOPIC_TAKES
            assert key is not None or value is not None
            self.outcome.rejected[rejected.reason.value] += 1
        self.outcome.accepted += len(batch.chunks)

    def _record(self, message: Message) -> ConsumerRecord:
        self._offset += 1
        fields = dict.fromkeys(ConsumerRecord._fields) | {
            "topic": _PARTITION.topic,
            "partition": _PARTITION.partition,
            "offset": self._offset,
            "timestamp": (-1, 0, 1_767_225_600_000, 2**62)[self._offset % 4],
            "key": message.key,
            "value": message.value,
            "headers": message.headers,
        }
        return ConsumerRecord(**fields)


def rss_bytes() -> int:
    """This process's resident memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    """Fuzz, print one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.fuzz", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    start, fuzzer = time.monotonic(), Fuzzer(options.seed)
    warm = options.messages // 5  # caches of Python and of the libraries are full by then
    fuzzer.feed(warm)
    before = rss_bytes()
    fuzzer.feed(options.messages - warm)
    growth = rss_bytes() - before
    outcome = fuzzer.outcome
    handled = outcome.accepted + sum(outcome.rejected.values())
    passed = not outcome.crashes and handled == options.messages and growth < _MAX_GROWTH
    said = {
        "messages": options.messages,
        "accepted": outcome.accepted,
        "rejected": dict(outcome.rejected.most_common()),
        "crashes": outcome.crashes,
        "slowest_batch_ms": round(outcome.slowest_ms),
        "rss_growth_mib": round(growth / 2**20, 1),
        "seconds": round(time.monotonic() - start),
        "seed": options.seed,
        "passed": passed,
    }
    sys.stdout.write(json.dumps(said) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
