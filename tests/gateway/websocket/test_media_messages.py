"""Media Streams as the platforms' documents show them, read without a socket."""

import json
from typing import Any

import numpy as np
import pytest

from schemas.audio import Encoding, Role
from tests.gateway.websocket import wire_messages
from undertone.acoustics.codecs import decode, encode
from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.websocket.dialects import EXOTEL, PLIVO, SIGNALWIRE, TELNYX, TWILIO, Dialect, Start
from undertone.gateway.websocket.media_messages import Media, MediaMessages, Stop

SOUND = np.random.default_rng(1).integers(-20_000, 20_000, 1_650).astype(np.int16)
ULAW = decode(encode(SOUND, Encoding.PCMU), Encoding.PCMU)
ALAW = decode(encode(SOUND, Encoding.PCMA), Encoding.PCMA)


def read(dialect: Dialect, messages: list[str]) -> tuple[Start, dict[Role, np.ndarray], int]:
    """The start, all samples by role, and the number of stops."""
    reader = MediaMessages(dialect)
    found = [reader.read(message) for message in messages]
    start = next(message for message in found if isinstance(message, Start))
    sound = {
        role: np.concatenate([m.samples for m in found if isinstance(m, Media) and m.role is role] or [SOUND[:0]])
        for role in Role
    }
    return start, sound, sum(isinstance(message, Stop) for message in found)


def message(event: str, **fields: Any) -> str:
    return json.dumps({"event": event, **fields})


def test_twilio_has_both_tracks_on_one_socket() -> None:
    messages = wire_messages.twilio({"inbound": SOUND, "outbound": -SOUND}, "CA42", {"token": "sesame"})
    start, sound, stops = read(TWILIO, messages)
    assert start == Start("CA42", Encoding.PCMU, 8000, "sesame")
    np.testing.assert_array_equal(sound[Role.CUSTOMER], ULAW)
    np.testing.assert_array_equal(sound[Role.AGENT], decode(encode(-SOUND, Encoding.PCMU), Encoding.PCMU))
    assert stops == 1
    assert read(SIGNALWIRE, messages)[0] == start


@pytest.mark.parametrize(("encoding", "want"), [("PCMU", ULAW), ("PCMA", ALAW), ("L16", SOUND)])
def test_telnyx_names_its_encoding(encoding: str, want: np.ndarray) -> None:
    messages = wire_messages.telnyx(SOUND, "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg", encoding)
    start, sound, stops = read(TELNYX, messages)
    assert (start.call_id, start.token) == ("v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg", None)
    np.testing.assert_array_equal(sound[Role.CUSTOMER], want)
    assert stops == 1


@pytest.mark.parametrize(("encoding", "want"), [("audio/x-mulaw", ULAW), ("audio/x-l16", SOUND)])
def test_plivo_has_parameters_in_one_string(encoding: str, want: np.ndarray) -> None:
    start, sound, _ = read(PLIVO, wire_messages.plivo(SOUND, "12345678-1234", encoding))
    assert (start.call_id, start.rate, start.token) == ("12345678-1234", 8000, "sesame")
    np.testing.assert_array_equal(sound[Role.CUSTOMER], want)


def test_plivo_has_parameters_as_json_in_a_string_too() -> None:
    start = {"callId": "a", "mediaFormat": {"encoding": "audio/x-l16;rate=16000"}}
    found = MediaMessages(PLIVO).read(message("start", start=start, extra_headers='{"token": "x"}'))
    assert found == Start("a", Encoding.L16LE, 16000, "x")


@pytest.mark.parametrize("encoding", ["audio/x-raw", "raw/slin", "base64"])
def test_exotel_sends_raw_pcm(encoding: str) -> None:
    start, sound, _ = read(EXOTEL, wire_messages.exotel(SOUND, "ab12", encoding))
    assert start == Start("ab12", Encoding.L16LE, 8000, "sesame")
    np.testing.assert_array_equal(sound[Role.CUSTOMER], SOUND)


def test_parameters_as_a_list() -> None:
    start = {"call_control_id": "a", "custom_parameters": [{"name": "x"}, {"name": "token", "value": "y"}]}
    assert MediaMessages(TELNYX).read(message("start", start=start)) == Start("a", Encoding.PCMU, 8000, "y")


def test_what_says_nothing_of_audio_is_passed_over() -> None:
    reader = MediaMessages(TWILIO)
    for event in ("connected", "dtmf", "mark", "something-new"):
        assert reader.read(message(event, dtmf={"digit": "1"})) is None


START = message("start", start={"callSid": "CA1"})
MALFORMED = [
    ([b"\x00\x01"], "a binary message"),
    (["{"], "no JSON"),
    (["[]"], "want an object"),
    (["[" * 60_000], "nested too deeply|no JSON"),
    (["{}"], "without event"),
    ([message("media", media={"payload": "AA=="})], "media before start"),
    ([START, START], "a second start"),
    ([START, message("stop"), message("media", media={"payload": "AA=="})], "media after stop"),
    ([START, message("media", media={})], "without payload"),
    ([START, message("media", media={"payload": "A"})], "no base64"),
    ([START, message("media", media={"payload": "AA=="} | {"track": "third"})], "media.track 'third'"),
    ([START, message("media", media={"payload": "AA==", "chunk": "-1"})], "media.chunk"),
    ([START, message("media", media={"payload": "AA==", "timestamp": {"a": 1}})], "media.timestamp is dict"),
    ([message("start", start={})], "start without callSid"),
    ([message("start", start={"callSid": ["a"]})], "callSid is list"),
    ([message("start", start={"callSid": "a", "mediaFormat": {"encoding": "OPUS"}})], "encoding 'OPUS'"),
    ([message("start", start={"callSid": "a", "mediaFormat": {"channels": 2}})], "more than one channel"),
    ([message("start", start={"callSid": "a", "mediaFormat": {"sampleRate": 1}})], "sample rate 1 Hz"),
]


@pytest.mark.parametrize(("messages", "problem"), MALFORMED)
def test_what_breaks_the_protocol_is_told_in_one_line(messages: list[str | bytes], problem: str) -> None:
    reader = MediaMessages(TWILIO)
    for good in messages[:-1]:
        reader.read(good)
    with pytest.raises(MalformedMessage, match=problem) as told:
        reader.read(messages[-1])
    assert "\n" not in str(told.value)


def test_half_a_sample_is_malformed() -> None:
    reader = MediaMessages(EXOTEL)
    reader.read(message("start", start={"call_sid": "a"}))
    with pytest.raises(MalformedMessage, match="whole samples"):
        reader.read(message("media", media={"payload": "AAAA"}))
