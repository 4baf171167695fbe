"""chan_websocket's messages for the fuzzer: lines, JSON and audio."""

import json

from tests.gateway.fuzz_target import Target
from undertone.gateway.websocket.asterisk_messages import Command, Format, media_start, parse

_LINE = "MEDIA_START connection_id:gateway channel:WebSocket/gateway/0x7f channel_id:17.1 format:slin ptime:20"
_AUDIO = b"\x00"  # what begins with it is a binary message


def asterisk() -> Target:
    """Each message on a connection of its own."""
    fields = {"connection_id": "gateway", "channel": "WebSocket/gateway/0x7f", "format": "ulaw", "ptime": 20}
    seeds = [
        _LINE.encode(),
        json.dumps({"event": "MEDIA_START"} | fields | {"channel_variables": {"A": "b"}}).encode(),
        json.dumps({"event": "DTMF_END", "channel_id": "17.1", "digit": "5"}).encode(),
        b"DTMF_END digit:5 channel_id:17.1",
        b"MEDIA_XOFF",
        _AUDIO + bytes(range(160)),
    ]
    audio = media_start(parse(_LINE)).format

    def take(data: bytes) -> None:
        if data.startswith(_AUDIO):
            _hear(audio, data[1:])
            return
        event = parse(data.decode(errors="replace"))
        assert Command.HANGUP in event.command(Command.HANGUP)
        if event.name == "MEDIA_START":
            start = media_start(event)
            assert start.id
            _hear(start.format, bytes(320))

    return Target(seeds, take)


def _hear(audio: Format, data: bytes) -> None:
    assert len(audio.samples(data)) * audio.encoding.sample_bytes == len(data)
