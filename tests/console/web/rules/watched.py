"""Rules on events that a test makes up, on a Kafka that is a list."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
from kafka import TopicPartition

from schemas.alerts import Alert
from schemas.documents import json_schema
from schemas.events import EventEnvelope
from undertone.console.web.follower import Reach
from undertone.console.web.rules.file import read_rules
from undertone.console.web.rules.store import FILE, Held, Key, Store, open_database
from undertone.console.web.rules.watching import Watching

TOPIC = "emotion-events"
_SCHEMA = jsonschema.Draft202012Validator(json_schema("alert"))


class Log:
    """The partitions of a topic; each record has an event and Kafka's time of it."""

    def __init__(self, partitions: int = 1) -> None:
        self.records: list[list[Any]] = [[] for _ in range(partitions)]
        self.now_s = 0.0

    def put(self, event: EventEnvelope, partition: int = 0) -> None:
        """Append an event; Kafka's clock goes by its time."""
        here = self.records[partition]
        value, stamp = event.model_dump_json().encode(), round(event.time.timestamp() * 1000)
        here.append(SimpleNamespace(partition=partition, offset=len(here), value=value, timestamp=stamp))

    def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, Any]:
        """As a consumer answers."""
        found = {one: [r for r in self.records[one.partition] if r.timestamp >= at] for one, at in times.items()}
        return {one: SimpleNamespace(offset=later[0].offset) if later else None for one, later in found.items()}


class Console:
    """A console with rules, as far as rules go: it reads the log, and may be killed and come back."""

    def __init__(self, log: Log, folder: Path, text: str) -> None:
        self._log = log
        path = folder / "rules.yml"
        path.write_text(text, encoding="utf-8")
        self._database = open_database(folder / FILE)
        self.store = Store(self._database)
        self.met: dict[Key, Held] = {}
        self.watching = Watching(read_rules(path), self.store, TOPIC, self._told, lambda: log.now_s)
        self._at: dict[TopicPartition, int] = {}

    def _told(self, met: dict[Key, Held]) -> None:
        self.met = met

    def begin(self, first: int = 0) -> "Console":
        """Find out where to read."""
        ends = {TopicPartition(TOPIC, one): Reach(first, len(r)) for one, r in enumerate(self._log.records)}
        consumer = SimpleNamespace(
            offsets_for_times=self._log.offsets_for_times,
            position=lambda one: self._at[one],
            assignment=lambda: set(self._at),
            pause=lambda *_: None,
            resume=lambda *_: None,
        )
        self._at = dict(self.watching.begin(consumer, ends, {TOPIC: "the-topic"}))
        return self

    def read(self, at_once: int = 1, *, live: bool = False) -> "Console":
        """Read to the end, so many records with each poll."""
        while True:
            polled: list[Any] = []
            for one, at in self._at.items():
                found: Sequence[Any] = self._log.records[one.partition][at : at + at_once]
                polled += found
                self._at[one] = at + len(found)
            self.watching.take(sorted(polled, key=lambda record: record.timestamp), self._at, live=live and not polled)
            if not polled:
                return self

    def kill(self) -> None:
        """End without a word."""
        self._database.close()

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """All alerts, the oldest first; each is what its schema says that webhooks get."""
        found = [json.loads(alert.body) for alert in reversed(self.store.newest(1_000))]
        for one in found:
            _SCHEMA.validate(one)
            assert one["data"].keys() == Alert.model_fields.keys()
        return found

    @property
    def told(self) -> list[tuple[str, str, str]]:
        """Rule, subject and reason of each."""
        return [(one["data"]["rule"], one["subject"], one["data"]["reason"]) for one in self.alerts]
