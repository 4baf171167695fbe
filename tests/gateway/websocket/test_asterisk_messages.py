"""chan_websocket's messages, in both ways in which Asterisk writes them."""

import json
from typing import Any

import numpy as np
import pytest

from schemas.audio import Encoding
from undertone.acoustics.codecs import encode
from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.websocket.asterisk_messages import Command, Format, media_start, parse

# As the channel driver's source writes it, and as its documentation has it.
LINE = (
    "MEDIA_START connection_id:gateway channel:WebSocket/gateway/0x78b36c003130 channel_id:1761245643.1 "
    "format:ulaw optimal_frame_size:160 ptime:20"
)
OLD_LINE = "MEDIA_START connection_id:32966726-4388-456b-a333-fdf5dbecc60d channel:WebSocket/INCOMING/0x7f format:alaw"
FIELDS: dict[str, Any] = {
    "event": "MEDIA_START",
    "connection_id": "gateway",
    "channel": "WebSocket/gateway/0x5140001a0040",
    "channel_id": "1761245643.1",
    "format": "slin16",
    "optimal_frame_size": 640,
    "ptime": 20,
    "channel_variables": {"DIALEDPEERNUMBER": "gateway/c(slin16)", "UNDERTONE_CALL_ID": "call-7", "EMPTY": ""},
}


def test_a_line_is_read() -> None:
    event = parse(LINE)
    assert event.name == "MEDIA_START"
    assert event.fields["ptime"] == "20"
    start = media_start(event)
    assert (start.connection_id, start.channel_id) == ("gateway", "1761245643.1")
    assert start.format == Format(8000, Encoding.PCMU)
    assert start.variables == {}
    assert event.command(Command.HANGUP) == "HANGUP"


def test_json_is_read() -> None:
    event = parse(json.dumps(FIELDS))
    start = media_start(event)
    assert start.format == Format(16000, Encoding.L16LE)
    assert start.variables == {"DIALEDPEERNUMBER": "gateway/c(slin16)", "UNDERTONE_CALL_ID": "call-7"}
    assert json.loads(event.command(Command.ANSWER)) == {"command": "ANSWER"}


def test_the_name_of_a_client_is_no_call() -> None:
    # Asterisk names every call that it dials by the section of websocket_client.conf.
    assert media_start(parse(LINE)).id == "1761245643.1"
    assert media_start(parse(LINE.replace("channel_id:1761245643.1 ", ""))).id == "WebSocket/gateway/0x78b36c003130"
    assert media_start(parse(OLD_LINE)).id == "32966726-4388-456b-a333-fdf5dbecc60d"
    assert media_start(parse("MEDIA_START connection_id:c1 format:slin")).id == "c1"


@pytest.mark.parametrize(
    ("text", "name", "fields"),
    [
        ("DTMF_END digit:5 channel_id:17.1", "DTMF_END", {"digit": "5", "channel_id": "17.1"}),
        ("MEDIA_XOFF", "MEDIA_XOFF", {}),
        ("MEDIA_XON", "MEDIA_XON", {}),
        ("MEDIA_BUFFERING_COMPLETED id-1", "MEDIA_BUFFERING_COMPLETED", {}),
        ("STATUS channel_id:1 queue_length:0 queue_full:false", "STATUS", {"queue_length": "0"}),
        ("ERROR channel_id:1 error_text:Unable to parse", "ERROR", {"error_text": "Unable"}),
        ('{"event":"DTMF_END","channel_id":"17.1","digit":"5"}', "DTMF_END", {"digit": "5"}),
        ('{"event":"QUEUE_DRAINED"}', "QUEUE_DRAINED", {}),
    ],
)
def test_other_events_are_read(text: str, name: str, fields: dict[str, str]) -> None:
    event = parse(text)
    assert event.name == name
    assert fields.items() <= event.fields.items()


@pytest.mark.parametrize(
    "text", ["", " ", "hello", "media_start a:b", "{", "{}", '{"event":1}', "[]", "\x00", "{" * 9999]
)
def test_what_is_no_event(text: str) -> None:
    with pytest.raises(MalformedMessage) as told:
        parse(text)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "text",
    [
        "MEDIA_START",
        "MEDIA_START connection_id:c",
        "MEDIA_START format:ulaw connection_id:",
        "MEDIA_START connection_id:c format:opus",
        "MEDIA_START connection_id:c format:slin0",
        json.dumps(FIELDS | {"format": ["ulaw"]}),
    ],
)
def test_a_start_that_says_too_little(text: str) -> None:
    with pytest.raises(MalformedMessage):
        media_start(parse(text))


def test_variables_that_are_none() -> None:
    with pytest.raises(MalformedMessage, match="channel_variables"):
        parse(json.dumps(FIELDS | {"channel_variables": ["a"]}))
    with pytest.raises(MalformedMessage, match="channel_variables"):
        parse(json.dumps(FIELDS | {"channel_variables": dict.fromkeys(map(str, range(1001)), "x")}))


@pytest.mark.parametrize(
    ("name", "rate", "encoding"),
    [
        ("ulaw", 8000, Encoding.PCMU),
        ("alaw", 8000, Encoding.PCMA),
        ("slin", 8000, Encoding.L16LE),
        ("slin12", 12000, Encoding.L16LE),
        ("slin16", 16000, Encoding.L16LE),
        ("slin44", 44100, Encoding.L16LE),
        ("slin48", 48000, Encoding.L16LE),
        ("slin192", 192000, Encoding.L16LE),
    ],
)
def test_formats(name: str, rate: int, encoding: Encoding) -> None:
    wanted = media_start(parse(f"MEDIA_START connection_id:c format:{name}")).format
    assert wanted == Format(rate, encoding)
    sound = np.arange(-500, 500, dtype=np.int16) * 60
    heard = wanted.samples(encode(sound, encoding))
    assert np.array_equal(encode(heard, encoding), encode(sound, encoding))


def test_half_a_sample_is_malformed() -> None:
    with pytest.raises(MalformedMessage, match="3 bytes"):
        Format(8000, Encoding.L16LE).samples(b"abc")
