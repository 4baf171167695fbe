"""The worker on a real Kafka: its events are the engine's, and a bad message costs nothing but itself."""

from contextlib import closing
from typing import Any

import pytest

from schemas.audio import AudioChunk, Role
from schemas.events import EventEnvelope
from tests.support.installation import Installation, interleave
from tests.support.streams import customer, cut, hear, lines, load
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.messaging.clients import audio_producer


def alone(chunks: list[AudioChunk]) -> list[str]:
    """The engine's events without Kafka."""
    return lines(hear(Engine(Model.load()), chunks))


def of(events: list[EventEnvelope], chunks: list[AudioChunk]) -> list[str]:
    """The events of one stream."""
    return lines(event for event in events if event.subject == chunks[0].stream)


def test_events_are_those_of_the_engine_for_every_chunk_size(installation: Installation) -> None:
    samples, rate = customer()
    streams = [cut(samples, rate, rate * ms // 1000, call_id=f"call-{ms}") for ms in (60, 370, 1000)]
    wide, wide_rate = load("angry.flac")
    streams.append(cut(wide, wide_rate, wide_rate // 2, call_id="wide"))
    expected = [alone(stream) for stream in streams]

    installation.worker().ready()
    installation.send(interleave(*streams))

    events = installation.events(sum(map(len, expected)))
    assert [of(events, stream) for stream in streams] == expected
    assert len(events) == sum(map(len, expected))
    for event in events:
        assert event.data.audio is not None
        assert event.data.audio.first_offset <= event.data.audio.last_offset


class HeaderName(str):
    """A header's name that is no UTF-8, as clients in other languages may write it."""

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


def test_a_bad_message_is_one_dead_letter(installation: Installation) -> None:
    samples, rate = customer()
    good = cut(samples, rate, rate // 2)
    agent = cut(samples, rate, rate // 2, call_id="agent", role=Role.AGENT)
    first = good[0]
    headers = dict(first.headers())
    bad: list[tuple[str, bytes, bytes, dict[str, bytes]]] = [
        ("missing_header", b"call/bad", b"ab", {}),
        ("missing_header", b"", b"ab", {HeaderName("name"): b"1"}),
        ("invalid_key", b"no-channel", b"ab", headers),
        ("invalid_header", b"call/customer", b"ab", headers | {"ce_sequence": b"-1"}),
        ("unsupported_content_type", b"call/customer", b"ab", headers | {"content-type": b"audio/opus"}),
        ("unsupported_rate", b"call/customer", b"ab", headers | {"content-type": b"audio/L16;rate=44100"}),
        ("odd_byte_count", b"call/customer", b"abc", headers),
        ("empty", b"call/customer", b"", headers),
        ("too_large", b"call/customer", bytes(400_000), headers),
        ("too_large", b"call/customer", bytes(1_040_000), headers),
    ]
    with closing(audio_producer(installation.settings)) as producer:
        topic = installation.topics.call_audio.name
        for chunk in interleave(good[:5], agent):
            producer.send(topic, key=chunk.stream.encode(), value=chunk.audio, headers=chunk.headers())
        for _, key, value, names in bad:
            producer.send(topic, key=key, value=value, headers=list(names.items()))
        producer.flush()
    late = first.model_copy(update={"sequence": 10_000, "first_sample": len(samples)})
    installation.send([*good[5:], late])
    installation.worker().ready()

    letters = installation.dead_letters(len(bad) + 1)
    told = [(dict(letter.headers)["undertone_reason"].decode(), letter.key, letter.value) for letter in letters]
    expected = [(reason, key, value) for reason, key, value, _ in bad]
    assert sorted(told) == sorted([*expected, ("after_end", first.stream.encode(), first.audio)])
    events = installation.events(len(alone(good)))
    assert lines(events) == alone(good)


@pytest.mark.slow
def test_audio_that_is_not_to_be_kept_is_in_no_dead_letter(installation: Installation) -> None:
    topic = installation.topics.call_audio.name
    planted = ("undertone_reason", b"planted")
    with closing(audio_producer(installation.settings)) as producer:

        def send(value: bytes) -> None:
            for role in (b"agent", b"customer"):
                producer.send(topic, key=b"call/" + role, value=value, headers=[("ce_role", role), planted])
            producer.flush()

        send(b"ab")
        worker = installation.worker().ready()
        kept = {letter.key: letter.value for letter in installation.dead_letters(2)}
        assert kept == {b"call/agent": b"", b"call/customer": b"ab"}
        worker.kill()
        installation.worker(analyze_agent=True, dead_letter_values=False).ready()
        send(b"cd")
        letters = installation.dead_letters(4)[2:]
    assert {letter.key: letter.value for letter in letters} == {b"call/agent": b"", b"call/customer": b""}
    assert {letter.headers[1][0] for letter in letters} == {"sent_undertone_reason"}


@pytest.mark.slow
def test_a_worker_that_leaves_for_good_is_taken_over_from_at_once(installation: Installation) -> None:
    samples, rate = customer()
    streams = [cut(samples, rate, rate // 2, call_id=f"call-{number}") for number in range(4)]
    # Longer than the test waits for anything: its session's end is not what lets the other take over.
    options: dict[str, Any] = {"session_timeout_s": 600, "leave_on_stop": "true"}
    leaving = installation.worker("w1", **options).ready()
    installation.send(interleave(*(stream[:20] for stream in streams)))
    staying = installation.worker("w2", **options).ready()
    assert leaving.stop() == 0
    assert "left the group for good" in leaving.output
    installation.send(interleave(*(stream[20:] for stream in streams)))
    events = installation.events(sum(len(alone(stream)) for stream in streams))
    for stream in streams:
        assert of(events, stream) == alone(stream)
    assert staying.stop() == 0
