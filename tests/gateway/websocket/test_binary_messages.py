"""mod_audio_stream's and the microphone's messages, read without a socket."""

import json
from typing import Any

import numpy as np
import pytest

from schemas.audio import Encoding, Role
from schemas.streams import Voice
from undertone.acoustics.codecs import encode
from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.websocket.microphone import MicrophoneMessages, MicrophoneStart, MicrophoneStop
from undertone.gateway.websocket.mod_audio_stream import StreamFormat, StreamMessages

SOUND = np.random.default_rng(2).integers(-20_000, 20_000, 320).astype(np.int16)
PCM = encode(SOUND, Encoding.L16LE)
CUSTOMER, AGENT = Voice("customer", Role.CUSTOMER), Voice("agent", Role.AGENT)


def test_metadata_say_the_format_and_the_query_says_it_before_them() -> None:
    messages = StreamMessages({"rate": "16000"})
    assert messages.read(json.dumps({"call_id": "a-1", "rate": 8000, "channels": 2, "other": [1]})) is None
    assert messages.format == StreamFormat("a-1", 16000, (CUSTOMER, AGENT))
    found = messages.read(PCM)
    assert found is not None
    np.testing.assert_array_equal(found, SOUND.reshape(-1, 2))
    assert messages.read("a text that the dialplan sends") is None


@pytest.mark.parametrize("first", ["whatever a dialplan says", "", '{"x": 1}', "[]"])
def test_metadata_may_be_any_text(first: str) -> None:
    messages = StreamMessages({"call_id": "b", "roles": "agent"})
    assert messages.read(first) is None
    assert messages.format == StreamFormat("b", 8000, (AGENT,), roles_said=True)


def test_metadata_may_be_missing() -> None:
    messages = StreamMessages({"call_id": "b"})
    found = messages.read(PCM)
    assert found is not None
    np.testing.assert_array_equal(found[:, 0], SOUND)


@pytest.mark.parametrize(
    ("query", "message", "problem"),
    [
        ({}, "{}", "no call_id"),
        ({}, PCM, "no call_id"),
        ({"call_id": "a"}, PCM[:-1], "319|639 bytes are not whole"),
        ({"call_id": "a", "channels": "2"}, PCM[:-2], "whole samples of 2"),
        ({"call_id": "a", "channels": "3"}, "", "3 channels"),
        ({"call_id": "a", "rate": "99"}, "", "rate 99 Hz"),
        ({"call_id": "a", "rate": "x"}, "", "rate is 'x'"),
        ({"call_id": "a", "roles": "boss"}, "", "no role"),
    ],
)
def test_what_is_no_format_or_no_sound(query: dict[str, str], message: str | bytes, problem: str) -> None:
    with pytest.raises(MalformedMessage, match=problem):
        StreamMessages(query).read(message)


def start(**fields: Any) -> str:
    return json.dumps({"event": "start", **fields})


def test_a_microphone_starts_speaks_and_stops() -> None:
    messages = MicrophoneMessages()
    assert messages.read(start(sample_rate=48000)) == MicrophoneStart(None, 48000, Role.CUSTOMER, None)
    found = messages.read(PCM)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, SOUND)
    assert messages.read('{"event": "stop"}') == MicrophoneStop()


def test_a_microphone_may_say_whose_it_is() -> None:
    found = MicrophoneMessages().read(start(**{"sample_rate": 44100, "call_id": "me", "role": "agent", "token": "t"}))
    assert found == MicrophoneStart("me", 44100, Role.AGENT, "t")


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([PCM], "before start"),
        (['{"event": "stop"}'], "want start"),
        (["{}"], "want start"),
        ([start()], "without sample_rate"),
        ([start(sample_rate=100)], "100 Hz"),
        ([start(sample_rate=8000, role="boss")], "role 'boss'"),
        ([start(sample_rate=8000), start(sample_rate=8000)], "second start"),
        ([start(sample_rate=8000), PCM[:-1]], "16-bit"),
        ([start(sample_rate=8000), '{"event": "stop"}', PCM], "after stop"),
    ],
)
def test_what_a_microphone_may_not_say(messages: list[str | bytes], problem: str) -> None:
    reader = MicrophoneMessages()
    for good in messages[:-1]:
        reader.read(good)
    with pytest.raises(MalformedMessage, match=problem):
        reader.read(messages[-1])
