"""What people say of an utterance: on the topic before it is shown as sent, and what cannot be labelled."""

from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from schemas.topics import Topics
from tests.console.web.conftest import StartConsole
from tests.console.web.labelled import on_the_topic
from tests.support.console import Speaker, publish
from tests.support.installation import PATIENCE_S, wait_for
from undertone.console.web.consumers import Away, Consumers
from undertone.console.web.labels import Labels
from undertone.devbroker.broker import free_port
from undertone.messaging.clients import reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings


def test_a_label_is_on_the_topic_when_it_is_shown_as_sent(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics
) -> None:
    speaker = Speaker("call-1")
    audio = {"topic": topics.call_audio.name, "partition": 0, "first_offset": 3, "last_offset": 9}
    segment = speaker.event("segment", 2, 5, "neutral", audio=audio)
    publish(kafka_settings, topics.emotion_events.name, [segment, speaker.event("update", 6, 7)])
    console = start_console("--port", "0", label_token="listen", watch_token="look")  # noqa: S106  a test's own
    with httpx.Client(base_url=console.url, timeout=PATIENCE_S) as browser:
        browser.post("/login", data={"token": "listen", "name": "Ann"})
        wait_for(lambda: browser.get("/api/me").json()["emotions"] == ["calm", "neutral"], "the events")
        place = next(_places(kafka_settings, topics, "segment"))
        answer = browser.post("/api/labels", json={"place": place, "emotion": "angry"})
        assert answer.status_code == 200, answer.text
        (found,) = on_the_topic(kafka_settings, topics)
        assert browser.get("/api/labels?call=call-1").json() == {place: {"emotion": "angry", "by": "Ann"}}
        assert browser.get("/api/labels?call=call-2").json() == {}
        taken = browser.post("/api/labels", json={"place": place, "emotion": "angry", "withdrawn": True})
        assert taken.status_code == 200
        assert browser.get("/api/labels?call=call-1").json() == {}
        later = [label.data for _, label in on_the_topic(kafka_settings, topics)]
        # What is no label.
        update = next(_places(kafka_settings, topics, "update"))
        for wrong, status in (
            ({"place": place, "emotion": "uncertain"}, 400),
            ({"place": place, "emotion": "Angry!"}, 400),
            ({"place": place, "emotion": "angry", "by": "Bob"}, 400),
            ({"place": "0:1:2", "emotion": "angry"}, 400),
            ({"emotion": "angry"}, 400),
            ({"place": "0:999999", "emotion": "angry"}, 404),
            ({"place": "9999:0", "emotion": "angry"}, 404),
            ({"place": update, "emotion": "angry"}, 404),
        ):
            assert browser.post("/api/labels", json=wrong).status_code == status, wrong
        body = f'{{"place": "{place}", "emotion": "angry"}}'
        assert browser.post("/api/labels", content=body, headers={"Content-Type": "text/plain"}).status_code == 415
        long = {"Content-Type": "application/json"}
        assert browser.post("/api/labels", content=body + " " * 5_000, headers=long).status_code == 413
        elsewhere = {"Origin": "http://evil.example.com"}
        assert browser.post("/api/labels", json={}, headers=elsewhere).status_code == 403
    for token, status in (("look", 403), ("nothing", 401)):
        sent = {"place": place, "emotion": "angry"}
        who = {"Authorization": f"Bearer {token}"}
        assert httpx.post(f"{console.url}/api/labels", json=sent, headers=who, timeout=PATIENCE_S).status_code == status
        assert httpx.get(f"{console.url}/api/labels", headers=who, timeout=PATIENCE_S).status_code == status
    key, label = found
    assert key == b"call-1/customer"
    assert label.data.model_dump(exclude_none=True) == {
        "call_id": "call-1", "channel": "customer", "emotion": "angry", "labelled_by": "Ann", "event_id": segment.id,
        "start_sample": 16_000, "end_sample": 40_000, "sample_rate": 8000, "audio": audio, "model_version": "test-1",
        "withdrawn": False, "comment": "",
    }  # fmt: skip
    assert [one.withdrawn for one in later] == [False, True]
    assert len(list(on_the_topic(kafka_settings, topics))) == 2
    assert "'Ann' (label, 127.0.0.1) says angry of call-1/customer at sample 16000\n" in console.output
    assert "'Ann' (label, 127.0.0.1) takes back angry of call-1/customer at sample 16000\n" in console.output


def test_what_others_have_said_is_known_to_every_console_and_after_a_restart(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics
) -> None:
    audio = {"topic": topics.call_audio.name, "partition": 0, "first_offset": 3, "last_offset": 9}
    publish(kafka_settings, topics.emotion_events.name, [Speaker("call-1").event("segment", 2, 5, audio=audio)])
    place = next(_places(kafka_settings, topics, "segment"))

    def console_of(name: str) -> httpx.Client:
        url = start_console("--port", "0", token="o").url  # noqa: S106  a test's own
        browser = httpx.Client(base_url=url, timeout=PATIENCE_S)
        browser.post("/login", data={"token": "o", "name": name})
        return browser

    with closing(console_of("Ann")) as ann, closing(console_of("Ben")) as ben:
        assert ann.post("/api/labels", json={"place": place, "emotion": "angry"}).status_code == 200
        told = {place: {"emotion": "angry", "by": "Ann"}}
        wait_for(lambda: ben.get("/api/labels?call=call-1").json() == told, "Ann's label at Ben's console")
        assert ben.post("/api/labels", json={"place": place, "emotion": "sad"}).status_code == 200
        both = {place: {"emotion": "sad", "by": "Ben", "others": [{"emotion": "angry", "by": "Ann"}]}}
        assert ben.get("/api/labels?call=call-1").json() == both
        assert ben.get("/api/worth").json() == []
    with closing(console_of("Cid")) as cid:
        wait_for(lambda: len(cid.get("/api/worth").json()) == 1, "what they disagree on, at a new console")
        assert cid.get("/api/worth").json()[0]["why"][0] == "disagreeing: Ann angry, Ben sad"


def test_a_label_that_kafka_does_not_take_is_not_shown_as_sent() -> None:
    away = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port(0)}", connect_timeout_s=1)
    labels = Labels(away, Topics(), Consumers(away, 1))
    for _ in range(2):
        with pytest.raises(Away, match="no Kafka at"):
            labels.send((0, 0), "angry", "Ann")
    assert labels.sent() == []


def _places(kafka: KafkaSettings, topics: Topics, kind: str) -> Iterator[str]:
    with closing(reader(kafka, auto_offset_reset="earliest")) as consumer:
        for record in read_to_end(kafka, consumer, partitions_of(consumer, topics.emotion_events.name)):
            if f'"type":"{kind}"'.encode() in record.value:
                yield f"{record.partition}:{record.offset}"
