"""States are saved every few seconds: who takes over hears again what came since, and comes to the very same state."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata

from schemas.audio import AudioChunk, RecordPlace
from tests.support.streams import START, customer, cut, lines
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.inference.routing import Route
from undertone.inference.unsaved import Unsaved
from worker.batch import decode
from worker.event_time import EventTime
from worker.poison_pill import PoisonPills
from worker.replay import Replay, ReplayFrom
from worker.saving import Saving
from worker.traces import Traces

PLACE = TopicPartition("call-audio", 0)
IDLE_S = 4.0


def place_at(offset: int) -> RecordPlace:
    return RecordPlace(topic="call-audio", partition=0, offset=offset)


def many_streams() -> list[AudioChunk]:
    """Concurrent streams: one with gaps, one with repeats, one on hold, one that ends, one that another replaces."""
    samples, rate = customer()
    streams = [cut(samples[3000 * n :], rate, 2000, call_id=f"call-{n}", end=n != 3) for n in range(6)]
    streams[0] = [chunk for n, chunk in enumerate(streams[0]) if n % 9 != 4]
    streams[1] = [chunk for n, chunk in enumerate(streams[1]) for _ in range(1 + (n % 7 == 3))]
    later = cut(samples, rate, 2000, call_id="call-2", start=START + timedelta(hours=1))
    streams[2] = streams[2][:30] + later[:40]
    streams[4] = streams[4][:20] + streams[4][-1:]
    waits = [0] * len(streams)
    waits[5] = 40  # call-5 pauses for 10 s after 5 s, which is longer than the idle time
    turns: list[AudioChunk] = []
    for step in range(120):
        for number, stream in enumerate(streams):
            index = step - waits[number] if step > 20 else step
            if index < 0 or (number == 5 and 20 < step <= 60):
                continue
            if index < len(stream):
                turns.append(stream[index])
    return turns


def as_records(chunks: Sequence[AudioChunk]) -> list[Any]:
    """As Kafka gives them, half a hundred milliseconds apart."""
    return [
        SimpleNamespace(
            key=chunk.stream.encode(),
            value=chunk.audio,
            headers=chunk.headers(),
            offset=offset,
            timestamp=1_000_000 + 45 * offset,
            timestamp_type=1,
        )
        for offset, chunk in enumerate(chunks)
    ]


@dataclass
class Kafka:
    """What is committed."""

    states: dict[str, bytes] = field(default_factory=dict)
    events: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    offset: int = 0
    metadata: str = ""


class Member:
    """A worker without Kafka's clients: it restores, hears again, and goes on from there."""

    def __init__(self, kafka: Kafka, records: Sequence[Any], route: Route, models: Sequence[Model]) -> None:
        self.kafka, self.records = kafka, records
        self.engine = Engine(route.model, idle_seconds=IDLE_S)
        self.engine.switch_model(*route)
        self.event_time = EventTime(None, self.engine, IDLE_S)  # records alone pass it
        for known in models:
            if known.card.version not in self.engine.model_versions:
                self.engine.add_model(known)
        for stream, value in kafka.states.items():
            self.engine.restore(stream, 0, value, "call-audio")
        self.position = kafka.offset
        self.whole = False
        begin = ReplayFrom.read(OffsetAndMetadata(kafka.offset, kafka.metadata, -1))
        if begin:
            assert begin.models <= self.engine.model_versions
            replay = Replay(self.engine, begin, kafka.offset, begin.route(self.engine), kafka.states.keys())
            for first in range(begin.offset, kafka.offset, 7):
                replay.hear(PLACE, records[first : first + 7], PoisonPills(), self.event_time, Traces())
            self.whole = True
        self.event_time.follow([PLACE])

    def turn(self, size: int, before: int, switch_to: Route | None = None, *, closing: bool, committed: bool) -> None:
        """Hear `size` records, and commit it all, or die before."""
        polled = self.records[self.position : self.position + size]
        batch = decode({PLACE: polled}, PoisonPills(), self.event_time)
        result = self.engine.feed(batch.chunks)
        self.position += len(polled)
        now_ms = self.event_time.now(PLACE)
        said = result.events
        if closing and now_ms is not None:
            said += self.engine.close_idle(0, now_ms).events
        saved = self.engine.take_changes({0: self.position if switch_to or self.whole else before})
        if switch_to:
            self.engine.switch_model(*switch_to)
        if not committed:
            return
        for record in saved:
            if record.value is None:
                self.kafka.states.pop(record.stream, None)
            else:
                self.kafka.states[record.stream] = record.value
        self.whole = False
        for event in said:
            self.kafka.events[event.subject] += lines([event])
        again = ReplayFrom.of(self.engine, 0)
        self.kafka.offset, self.kafka.metadata = self.position, again.written() if again else ""


def schedule(count: int, chance: random.Random) -> Iterator[tuple[int, str, bool]]:
    """Sizes of turns that make `count`, what happens in or after each, and whether idle streams are closed then."""
    kinds = ["", "lost", "lost twice", "killed", "killed twice", "newer", "switch"]
    while count > 0:
        size = min(count, chance.randint(1, 25))
        count -= size
        yield size, chance.choices(kinds, [8, 2, 1, 2, 1, 1, 1])[0], chance.random() < 0.8


def next_route(route: Route, new: Model, chance: random.Random) -> Route:
    """A canary begins, is the champion, gets another share, is another model, or is taken back."""
    share = chance.choice([0.3, 0.6])
    if route.canary is None:
        return Route(route.model, new, share)
    following = Route(route.canary), Route(route.model), Route(route.model, route.canary, share), Route(new)
    return chance.choice([*following, Route(route.model, new, share)])


@pytest.mark.parametrize("canaries", [False, True], ids=["a champion alone", "canaries"])
@pytest.mark.parametrize("seed", range(4))
def test_whoever_takes_over_comes_to_the_very_state(seed: int, canaries: bool) -> None:
    """Killed within turns and between them, once and twice, with a new model or none: as if nothing had been."""
    base, chance = Model.load(), random.Random(seed)
    records = as_records(many_streams())
    models, route = [base], Route(base)
    disturbed, alone = Kafka(), Kafka()
    member, reference = (Member(kafka, records, route, models) for kafka in (disturbed, alone))
    behind = with_canary = 0
    for size, what, closing in schedule(len(records), chance):
        new = None
        if what in ("newer", "switch"):
            new = base.with_card(base.card.model_copy(update={"version": f"version-{len(models)}"}))
            models.append(new)
            route = next_route(route, new, chance) if canaries else Route(new)
        before = chance.randint(max(0, disturbed.offset - 150), disturbed.offset)
        for _ in range(what.count("lost") + what.count("twice")):
            member.turn(size, before, closing=closing, committed=False)
            member = Member(disturbed, records, route, models)
        member.turn(size, before, route if what == "switch" else None, closing=closing, committed=True)
        reference.turn(size, reference.position + size, route if new else None, closing=closing, committed=True)
        behind += bool(disturbed.metadata)
        with_canary += route.canary is not None
        for _ in range(what.count("killed") + what.count("newer") + (what == "killed twice")):
            member = Member(disturbed, records, route, models)
    member.turn(0, len(records), closing=False, committed=True)
    assert disturbed.events == alone.events
    assert disturbed.states == alone.states
    assert not disturbed.metadata
    assert behind > 10  # states were behind what was committed, mostly
    assert bool(with_canary) is canaries
    assert any('"ended_by":"idle"' in line for line in alone.events["call-5/customer"])


def test_states_are_saved_when_they_have_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    saving = Saving(5)
    seen = []
    for second in range(8):
        now = 100.0 + second
        seen.append(saving.before({0: 10 * second, 1: 7}, {})[0])
    assert seen == [0, 0, 0, 0, 0, 0, 10, 20]
    saving.save_all(1)
    saving.save_all(2)
    assert saving.before({0: 70, 1: 7}, {}) == {0: 20, 1: 7}
    assert saving.before({1: 7, 2: 9}, {}) == {1: 7, 2: 9}  # not before it is being read
    assert saving.before({2: 9}, {}) == {2: 0}
    assert Saving(0).before({0: 70}, {}) == {0: 70}


@pytest.mark.parametrize("seed", range(3))
def test_no_more_is_left_to_hear_again_than_is_allowed(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much comes, and however it comes: live, as a backlog, in many partitions, or with one that joins."""
    now, most, chance = 100.0, 1000, random.Random(seed)
    monkeypatch.setattr("time.monotonic", lambda: now)
    saving, unsaved = Saving(5, most_unsaved=most), Unsaved()
    positions = dict.fromkeys(range(4), 0)
    records = saved = longest = 0
    for turn in range(600):
        now += chance.choice([0.02, 0.2, 1.0])
        if turn == 300:
            positions[4] = 50_000  # after a takeover: what it has heard again is saved at once
            unsaved.heard((4, "restored"), place_at(49_000))
            saving.save_all(4)
        for number in positions:
            count = chance.randrange(0, 20 if turn % 100 < 70 else 400)
            for offset in range(positions[number], positions[number] + count):
                unsaved.heard((number, f"stream-{chance.randrange(200)}"), place_at(offset))
            positions[number] += count
            records += count
        behind = {number: place.offset for number in positions if (place := unsaved.since(number))}
        saved += len(unsaved.take(saving.before(dict(positions), behind)))
        left = sum(positions[number] - place.offset for number in positions if (place := unsaved.since(number)))
        assert left <= most
        longest = max(longest, left)
    assert longest > 0.8 * most  # and no state is saved sooner than it must be
    assert saved < records / 2
