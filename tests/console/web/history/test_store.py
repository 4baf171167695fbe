"""The history: what is searched in it, what it keeps together, and what it lets go."""

from asyncio import run
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from kafka import TopicPartition

from schemas.labels import EmotionLabel
from schemas.topics import Topics
from tests.support.console import Speaker
from undertone.console.web.follower import Reach
from undertone.console.web.history.following import Following
from undertone.console.web.history.store import FILE, Query, Store
from undertone.console.web.labels import Labels, Said, around
from undertone.console.web.voices import Everybody

TOPICS = Topics()
EVENTS, LABELS = TOPICS.emotion_events.name, TOPICS.emotion_labels.name
MB = 1024 * 1024


class Fed:
    """A history that is fed by hand: records of one partition of each topic."""

    def __init__(self, folder: Path, most_bytes: int = 64 * MB) -> None:
        self.store = Store(folder, most_bytes)
        self.forgotten: list[str] = []
        self._following = Following(self.store, TOPICS, lambda call, at: self.forgotten.append(call))
        self._ends = {TopicPartition(EVENTS, 0): 0, TopicPartition(LABELS, 0): 0}

    def begin(self, ends: dict[str, int] | None = None, topic_id: str = "a") -> dict[str, int]:
        """Where it wants to read."""
        reaches = {one: Reach(0, (ends or {}).get(one.topic, 0)) for one in self._ends}
        found = self._following.begin(SimpleNamespace(), reaches, {EVENTS: topic_id, LABELS: "b"})
        self._ends.update(found)
        return {one.topic: at for one, at in found.items()}

    def read(self, topic: str, values: Iterable[bytes | None], at_ms: int, key: str = "") -> None:
        """Let it read some records."""
        partition = TopicPartition(topic, 0)
        records = []
        for value in values:
            records.append(
                SimpleNamespace(
                    topic=topic,
                    partition=0,
                    offset=self._ends[partition],
                    timestamp=at_ms,
                    key=key.encode(),
                    value=value,
                )
            )
            self._ends[partition] += 1
        self._following.take(records, self._ends, live=False)

    def found(self, **query: Any) -> list[str]:
        """The calls that a search finds."""
        return [one["call"] for one in self.store.search(Query(**query))]


def values(*events: Any) -> list[bytes]:
    return [event.model_dump_json().encode() for event in events]


@pytest.fixture
def fed(tmp_path: Path) -> Fed:
    """A history of three calls."""
    it = Fed(tmp_path)
    assert it.begin() == {EVENTS: 0, LABELS: 0}
    anna, agent, bert, carl = Speaker("a-1"), Speaker("a-1", "agent"), Speaker("a-2", began_s=7_200), Speaker("b-1")
    it.read(
        EVENTS,
        values(
            anna.event("segment", 1, 9, "angry"),
            anna.event("update", 10, 30, "angry"),
            agent.event("segment", 9, 12, "angry"),
            anna.event("segment", 20, 22, "happy"),
            bert.event("segment", 1, 6, "angry"),
            bert.event("summary", 0, 30, "angry"),
            carl.event("segment", 5, 30, "neutral"),
        ),
        1_000,
    )
    return it


def test_calls_are_found_by_id_time_and_how_long_an_emotion_was_heard(fed: Fed) -> None:
    assert fed.found() == ["b-1", "a-1", "a-2"]
    assert fed.found(call="a-") == ["a-1", "a-2"]
    assert fed.found(call="%") == []
    assert fed.found(emotion="angry") == ["a-1", "a-2"]
    assert fed.found(emotion="angry", seconds=10) == ["a-1"]
    assert fed.found(emotion="angry", seconds=12) == []
    began_ms = round(Speaker("now", began_s=3_600).began.timestamp() * 1000)
    assert fed.found(until_ms=began_ms) == ["a-2"]
    assert fed.found(since_ms=began_ms) == ["b-1", "a-1"]
    first, second = fed.store.search(Query(call="a-"))
    assert first["speech"] == [["angry", 11.0], ["happy", 2.0]]
    assert (first["over"], second["over"]) == (False, True)
    assert [entry.label for entry in fed.store.of_call("a-1")] == ["angry", "angry", "happy"]
    assert fed.store.emotions() == ["angry", "happy", "neutral"]


def test_it_goes_on_where_it_stood_and_begins_anew_with_another_topic(fed: Fed, tmp_path: Path) -> None:
    fed.store.close()
    again = Fed(tmp_path)
    assert again.begin({EVENTS: 9, LABELS: 0}) == {EVENTS: 7, LABELS: 0}
    assert again.found() == ["b-1", "a-1", "a-2"]
    again.store.close()
    other = Fed(tmp_path)
    assert other.begin({EVENTS: 9, LABELS: 0}, topic_id="another") == {EVENTS: 0, LABELS: 0}
    assert other.found() == []


def test_a_file_that_is_none_is_made_again(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 500)
    assert Fed(tmp_path).begin({EVENTS: 9, LABELS: 0}) == {EVENTS: 0, LABELS: 0}


def test_what_is_forgotten_goes_also_where_it_is_read_later(fed: Fed, tmp_path: Path) -> None:
    fed.read(LABELS, [None], 2_000, "a-1")
    assert fed.forgotten == ["a-1"]
    assert fed.found() == ["b-1", "a-2"]
    assert fed.store.of_call("a-1") == []
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"b-1" in kept
    assert b"a-1" not in kept


def test_a_history_that_is_made_again_forgets_in_either_order(tmp_path: Path) -> None:
    fed, anna = Fed(tmp_path), Speaker("a-1")
    fed.begin()
    fed.read(LABELS, [None], 2_000, "a-1")
    fed.read(EVENTS, values(anna.event("segment", 1, 9, "angry")), 1_000)
    assert fed.found() == []
    fed.read(EVENTS, values(anna.event("segment", 20, 29, "angry")), 3_000)
    assert fed.found() == ["a-1"]


def test_what_the_topic_has_deleted_goes_and_so_do_the_oldest_of_too_many(fed: Fed, tmp_path: Path) -> None:
    fed.store.prune({0: 5})
    assert fed.found() == ["b-1", "a-2"]
    assert fed.store.emotions() == ["angry", "neutral"]
    (tmp_path / "small").mkdir()
    small = Fed(tmp_path / "small", most_bytes=400_000)
    small.begin()
    events = [Speaker(f"c-{number}", began_s=9_000 - number).event("segment", 1, 9) for number in range(1_000)]
    small.read(EVENTS, values(*events), 1_000)
    for _ in range(40):
        small.store.prune({})
    assert 200 < small.store.count() < 900
    assert small.found(limit=1) == ["c-999"]
    assert small.found(call="c-0") == []


def test_labels_are_known_by_the_place_of_their_utterance(fed: Fed) -> None:
    def label(emotion: str, by: str, start: int, end: int, **more: Any) -> bytes:
        data = EmotionLabel(
            call_id="a-1",
            channel="customer",
            emotion=emotion,
            labelled_by=by,
            start_sample=start,
            end_sample=end,
            **more,
        )
        return around(data).model_dump_json().encode()

    rate = 8_000
    fed.read(LABELS, [label("sad", "Ann", rate, 9 * rate), label("calm", "Ben", rate, 9 * rate)], 1_500)
    fed.read(LABELS, [label("calm", "Ann", 20 * rate, 22 * rate), label("calm", "Ann", 3 * rate, 4 * rate)], 1_600)
    fed.read(LABELS, [label("calm", "Ann", 20 * rate, 22 * rate, withdrawn=True), b"no label"], 1_700)
    fed.read(LABELS, [label("fearful", "Ann", rate, 9 * rate)], 1_800)
    labels = SimpleNamespace(
        sent=lambda: [Said((0, 0), "a-1", "sad", "Cid", 1_900), Said((0, 0), "a-1", "", "Ben", 1_499)]
    )
    everybody = Everybody(cast(Labels, labels), fed.store)
    # In the order in which they spoke: what Ben has taken back at this console he has said once more at another.
    of_call = run(everybody.of_call("a-1"))
    assert {place: list(voices.items()) for place, voices in of_call.items()} == {
        (0, 0): [("Ben", "calm"), ("Ann", "fearful"), ("Cid", "sad")]
    }
    assert run(everybody.since(0)) == of_call
    assert fed.store.said(1_001) == []
