"""Events against rules: who meets which, and the alerts that come of it."""

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from pydantic import ValidationError

from schemas.events import EventEnvelope
from undertone.console.web.follower import Reach
from undertone.console.web.rules.calls import Call, met_by
from undertone.console.web.rules.file import Rules
from undertone.console.web.rules.judge import Met, judge
from undertone.console.web.rules.rule import Rule
from undertone.console.web.rules.store import Alert, Held, Key, Store

_LOOK_S = 1.0
# A call without an event for so long is no longer watched.
_FORGET_MS = 900_000
_UTTERANCE_MS = 60_000
_BEHIND = 300

Told = Callable[[dict[Key, Held]], None]


class Watching:
    """Lives in its follower's thread. `told` gets what is met whenever that has changed.

    What is met and the alerts are written with the positions. The spans behind them are not: at the start as much is
    read back as rules look at, without an alert.
    """

    def __init__(
        self, rules: Rules, store: Store, topic: str, told: Told, clock: Callable[[], float] = time.time
    ) -> None:
        self._rules = rules
        self._store = store
        self._topic = topic
        self._told = told
        self._clock = clock
        self._calls: dict[str, Call] = {}
        self._met: dict[Key, Held] = {}
        self._last: dict[Key, int] = {}
        self._kept: dict[int, tuple[int, int]] = {}
        self._behind_ms: deque[float] = deque(maxlen=_BEHIND)
        self._looked_ms = 0.0
        self._consumer: KafkaConsumer | None = None
        # Partitions that are being read back, and what has come of the others meanwhile.
        self._back: dict[TopicPartition, int] = {}
        self._early: list[ConsumerRecord] = []
        self._memory_ms = round(1000 * max(rule.memory for rule in rules.rules)) + _UTTERANCE_MS

    def begin(
        self, consumer: KafkaConsumer, reaches: Mapping[TopicPartition, Reach], ids: Mapping[str, str]
    ) -> dict[TopicPartition, int]:
        """From where it stood, or from now on; and back by as much as rules look at."""
        anew = self._store.topic() != ids[self._topic]
        self._store.begin(ids[self._topic], [rule.name for rule in self._rules.rules], anew=anew)
        kept, now_ms = self._store.positions(), round(self._clock() * 1000)
        first_time = not kept
        self._calls, self._kept, self._met = {}, {}, self._store.met()
        for partition, reach in reaches.items():
            position, read_ms = kept.get(partition.partition, (None, now_ms))
            # A partition that the topic got since is read from its start.
            known = reach.clip(position) if kept.get(partition.partition) else None
            stands = known if known is not None else reach.end if first_time or position is not None else reach.first
            self._kept[partition.partition] = (stands, read_ms)
        self._last = self._store.last(min(at for _, at in self._kept.values()) - 86_400_000)
        self._store.keep(self._kept, (), {}, ())
        back = {one: max(0, self._kept[one.partition][1] - self._memory_ms) for one in reaches}
        found = consumer.offsets_for_times(back)
        self._told(dict(self._met))
        self._consumer, self._early = consumer, []
        self._back = {one: self._kept[one.partition][0] for one in reaches}
        return {
            one: min(found[one].offset if found.get(one) else reach.end, self._kept[one.partition][0])
            for one, reach in reaches.items()
        }

    def take(self, records: Sequence[ConsumerRecord], positions: Mapping[TopicPartition, int], *, live: bool) -> None:
        """Look at some records, and from time to time at calls without any."""
        if self._back:
            records = self._read_back(records)
            if self._back:
                return
        changes = _Changes(self._met)
        now_ms = self._clock() * 1000
        for record in records:
            self._hear(record, changes)
        if records and live:
            self._behind_ms.append(now_ms - max(record.timestamp for record in records))
        read = {one.partition: position for one, position in positions.items()}
        stood = {one: at for one, at in self._kept.items() if read.get(one, 0) > at[0]}
        stamps = {record.partition: record.timestamp for record in records}
        kept = {one: (read[one], max(at[1], stamps.get(one, 0))) for one, at in stood.items()}
        self._kept |= kept
        if abs(now_ms - self._looked_ms) >= 1000 * _LOOK_S and (live or records):
            self._looked_ms = now_ms
            clock = now_ms - min(self._behind_ms, default=0.0) if live else None
            self._look(clock, changes)
        if kept or changes.any:
            self._store.keep(kept, changes.alerts, changes.met, changes.gone)
        if changes.any:
            self._told(dict(self._met))

    def _read_back(self, records: Sequence[ConsumerRecord]) -> list[ConsumerRecord]:
        """Take what was looked at before, without looking. Partitions wait for each other: a call may be in two.

        Returns what came of those that waited, once none is left.
        """
        consumer = self._consumer
        if consumer is None:
            return []
        for record in records:
            if record.offset >= self._kept[record.partition][0]:
                self._early.append(record)
            elif event := _event(record):
                self._take(event, record)
        for partition, stands in list(self._back.items()):
            if (consumer.position(partition) or 0) >= stands:
                del self._back[partition]
                consumer.pause(partition)
        if self._back:
            return []
        consumer.resume(*consumer.assignment())
        early, self._early = self._early, []
        return early

    def _hear(self, record: ConsumerRecord, changes: "_Changes") -> None:
        event = _event(record)
        if event is None:
            return
        call = self._calls.get(event.data.call_id)
        # A silence that this event ends, where nobody looked meanwhile.
        if call and record.timestamp - call.moment_ms > 1000 * _LOOK_S:
            self._judge(call, call.at_ms + record.timestamp - call.moment_ms, changes)
        call = self._take(event, record)
        self._judge(call, call.at_ms, changes)

    def _take(self, event: EventEnvelope, record: ConsumerRecord) -> Call:
        call = self._calls.setdefault(event.data.call_id, Call(event.data.call_id))
        call.take(event, met_by(self._rules.rules, event.data), record.partition, record.timestamp)
        return call

    def _look(self, clock_ms: float | None, changes: "_Changes") -> None:
        """At all calls: who is silent sends no event. Until all is read, a call's time is that of its partitions."""
        for call in list(self._calls.values()):
            read_ms = min(self._kept[stream.partition][1] for stream in call.streams.values())
            passed_ms = max(0.0, (clock_ms if clock_ms is not None else read_ms) - call.moment_ms)
            if passed_ms > _FORGET_MS:
                del self._calls[call.name]
                changes.leave(key for key in self._met if key[1] == call.name)
            else:
                self._judge(call, call.at_ms + passed_ms, changes)
        # What was met by calls of which nothing has come since a restart.
        changes.leave(key for key in self._met if clock_ms is not None and key[1] not in self._calls)

    def _judge(self, call: Call, now_ms: float, changes: "_Changes") -> None:
        met: dict[Key, tuple[Rule, Met]] = {}
        for number, rule in enumerate(self._rules.rules):
            for one in judge(rule, number, call, now_ms):
                met[rule.name, call.name, one.channel] = rule, one
        held = {key for key in self._met if key[1] == call.name}
        changes.leave(held - met.keys())
        for key, (rule, one) in met.items():
            before = self._met.get(key)
            if before is None:
                before = Held(one.since_ms, one.reason)
                changes.hold(key, before)
            if before.alert:
                continue
            earliest_ms = self._last.get(key, 0) + round(1000 * rule.again) if key in self._last else 0
            if now_ms >= earliest_ms:
                alert = self._alert(call, one, max(one.moment_ms, earliest_ms))
                self._last[key] = alert.moment_ms
                changes.alert(key, Held(one.since_ms, one.reason, alert.id), alert)

    def _alert(self, call: Call, met: Met, moment_ms: int) -> Alert:
        identity = sha256("\n".join((met.rule, call.name, met.channel, str(moment_ms))).encode()).hexdigest()[:32]
        data: dict[str, Any] = {
            "rule": met.rule,
            "call_id": call.name,
            "channel": met.channel or None,
            "role": met.newest.role if met.newest else None,
            "since": _moment(met.since_ms),
            "reason": met.reason,
            "label": met.newest.label if met.newest else None,
            "probability": met.newest.probability if met.newest else None,
            "relative": met.newest.relative.model_dump() if met.newest and met.newest.relative else None,
            "model_version": met.newest.model_version if met.newest else None,
            "event_id": met.newest.event_id if met.newest else None,
        }
        envelope = {
            "specversion": "1.0",
            "id": identity,
            "source": "/undertone/console",
            "type": "undertone.alert.v1",
            "subject": f"{call.name}/{met.channel}" if met.channel else call.name,
            "time": _moment(moment_ms),
            "datacontenttype": "application/json",
            "data": data,
        }
        state = "waiting" if met.rule in self._rules.urls else "none"
        return Alert(identity, met.rule, call.name, met.channel, moment_ms, json.dumps(envelope), state)


class _Changes:
    """What has changed while some records were looked at, in what is met and beside it."""

    def __init__(self, met: dict[Key, Held]) -> None:
        self._all = met
        self.met: dict[Key, Held] = {}
        self.gone: set[Key] = set()
        self.alerts: list[Alert] = []

    @property
    def any(self) -> bool:
        return bool(self.met or self.gone or self.alerts)

    def hold(self, key: Key, held: Held) -> None:
        self._all[key] = self.met[key] = held
        self.gone.discard(key)

    def alert(self, key: Key, held: Held, alert: Alert) -> None:
        self.hold(key, held)
        self.alerts.append(alert)

    def leave(self, keys: Iterable[Key]) -> None:
        for key in list(keys):
            del self._all[key]
            self.met.pop(key, None)
            self.gone.add(key)


def _event(record: ConsumerRecord) -> EventEnvelope | None:
    try:
        return EventEnvelope.model_validate_json(record.value or b"")
    except ValidationError:
        return None


def _moment(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
