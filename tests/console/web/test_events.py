"""Server-sent events on a real Kafka: committed ones only, and nothing missed by who comes back."""

import socket
from urllib.parse import urlsplit

import pytest

from schemas.topics import Topics
from tests.console.web.conftest import StartConsole
from tests.console.web.listening import listening, until
from tests.support.console import Speaker, publish, status
from tests.support.installation import wait_for
from undertone.messaging.clients import transactional_producer
from undertone.messaging.settings import KafkaSettings


def test_who_comes_back_gets_what_was_missed_and_nothing_twice(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics
) -> None:
    topic = topics.emotion_events.name
    speakers = [Speaker(f"call-{number}") for number in range(8)]  # on all partitions
    console = start_console()
    url = console.url
    with listening(url) as heard:
        assert next(heard).anew == 1
        publish(kafka_settings, topic, [one.event("segment", 0, 1) for one in speakers])
        first = until(heard, 8)
    publish(kafka_settings, topic, [one.event("segment", 1, 2) for one in speakers])
    with listening(url, first.last_id) as heard:
        second = until(heard, 8)
    assert second.anew == 0
    assert sorted(second.events) == [(f"call-{number}", 2.0) for number in range(8)]
    # A console that was started anew knows them, too: positions are Kafka's.
    assert console.stop() == 0
    publish(kafka_settings, topic, [speakers[3].event("summary", 0, 2)])
    url = start_console().url
    with listening(url, first.last_id) as heard:
        third = until(heard, 9)
    assert sorted(third.events) == sorted([*second.events, ("call-3", 2.0)])
    with listening(url, first.last_id, call="call-5") as heard:
        assert until(heard, 1).events == [("call-5", 2.0)]


def test_what_was_not_committed_is_not_shown(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics
) -> None:
    url, topic, speaker = start_console().url, topics.emotion_events.name, Speaker("call-1")
    producer = transactional_producer(kafka_settings, f"{kafka_settings.topic_prefix}p")
    producer.init_transactions()
    with listening(url) as heard:
        next(heard)
        for end, commit in ((1, False), (2, True)):
            producer.begin_transaction()
            event = speaker.event("segment", 0, end)
            producer.send(topic, key=event.subject.encode(), value=event.model_dump_json().encode())
            producer.send(topic, key=b"x", value=b"no event at all")
            if commit:
                producer.commit_transaction()
            else:
                producer.flush()
                producer.abort_transaction()
        assert until(heard, 1).events == [("call-1", 2.0)]
    producer.close()


def test_an_id_that_is_none_begins_anew(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics
) -> None:
    url, speaker = start_console().url, Speaker("call-1")
    publish(kafka_settings, topics.emotion_events.name, [speaker.event("segment", 0, 1)])
    for nonsense in ("0:999999999", "x", "0:1;drop", "1" * 4000):
        with listening(url, nonsense) as heard:
            found = until(heard, 1)
            assert (found.anew, found.events) == (1, [("call-1", 1.0)])


@pytest.mark.slow
def test_a_page_that_takes_nothing_costs_the_others_nothing(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics
) -> None:
    url, topic = start_console("--port", "0", memory_events=50_000, max_readers=2).url, topics.emotion_events.name
    address = urlsplit(url)
    speakers = [Speaker(f"call-{number:03}") for number in range(100)]
    with socket.socket() as stuck, listening(url) as heard:
        # It asks and never reads: a few KB fit into its buffers, the rest waits in the console, or is shed.
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect((address.hostname, address.port))
        stuck.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        next(heard)
        # Now: on a busy machine its 20 s may be over by the time that all is published.
        wait_for(lambda: status(f"{url}/api/events") == 503, "both places to be taken")
        # A tenth at a time, for a page that is 5,000 segments behind has to come back.
        for tenth in range(0, 100, 10):
            ends = range(tenth, tenth + 10)
            publish(kafka_settings, topic, [one.event("segment", end, end + 1) for end in ends for one in speakers])
            until(heard, 100 * ends.stop)
        publish(kafka_settings, topic, (one.event("update", 100, 101) for one in speakers))
        found = until(heard, 10_100)
        assert len(set(found.events)) == 10_100
        # It is given 20 s to take something, then its place is free.
        wait_for(lambda: status(f"{url}/api/events") == 200, "the end of a page that takes nothing")


def test_there_is_an_end_to_how_many_may_look(start_console: StartConsole) -> None:
    url = start_console("--port", "0", max_readers=2).url
    with listening(url) as first, listening(url) as second:
        next(first)
        next(second)
        assert status(f"{url}/api/events") == 503
