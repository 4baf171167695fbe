"""AudioHook's messages and what follows from them, without a socket."""

import json
from typing import Any

import numpy as np
import pytest

from schemas.audio import Encoding
from tests.gateway.websocket.audiohook_client import BOTH_SIDES, Messages, offer
from undertone.acoustics.codecs import decode
from undertone.gateway.metrics import GapCause
from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.websocket.audiohook_dialogue import (
    Closing,
    Dialogue,
    Gap,
    Heard,
    Notice,
    Opening,
    ProtocolError,
    Reply,
)
from undertone.gateway.websocket.audiohook_messages import parse, samples


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("PT0S", 0),
        ("PT0.000125S", 1),
        ("PT1.5S", 12_000),
        ("PT.5S", 4_000),
        ("PT7.S", 56_000),
        ("PT12.345678S", 98_765),
        ("PT1M2.5S", 500_000),
        ("PT2H", 57_600_000),
        ("PT604800S", 4_838_400_000),
    ],
)
def test_a_duration_is_samples(text: str, count: int) -> None:
    assert samples(text) == count


@pytest.mark.parametrize(
    "text",
    ["", "PT", "PTS", "PT.S", "PT-1S", "PT1e3S", "PT1", "1.5", "pt1s", "PT٣S", "PT604801S", "PT" + "9" * 99 + "S", 1.5],
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match=r"no duration|longer"):
        samples(text)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"version": "1"}, "version"),
        ({"seq": -1}, "seq"),
        ({"seq": "1"}, "seq"),
        ({"seq": True}, "seq"),
        ({"seq": 2**70}, "seq"),
        ({"id": "a\nb"}, "id"),
        ({"position": "12"}, "position"),
        ({"parameters": []}, "parameters"),
        ({"parameters": {"conversationId": "x", "media": "PCMU"}}, "media"),
        ({"parameters": {"conversationId": 7, "media": []}}, "conversationId"),
        ({"type": "discarded", "parameters": {"start": "PT1S"}}, "discarded"),
    ],
)
def test_a_malformed_message_is_told_in_one_line(change: dict[str, Any], problem: str) -> None:
    text = json.dumps(json.loads(Messages().open()) | change)
    with pytest.raises(MalformedMessage, match=problem) as told:
        parse(text)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) <= 200


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '"open"', "[" * 60_000, "{}", "\x00"])
def test_what_is_no_message(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse(text)


@pytest.mark.parametrize(
    ("media", "chosen"),
    [
        (offer(*BOTH_SIDES), ["external", "internal"]),
        (offer(["internal"], ["external"]), ["external"]),
        (offer(["internal"]), ["internal"]),
        (offer(["internal", "external"]), ["internal", "external"]),
        (offer(["external", "internal"], kind="L16") + offer(["external"]), ["external"]),
        (offer(["external"], rate=16000) + offer(["internal"]), ["internal"]),
        (offer(["external", "external"], ["external"]), ["external"]),
    ],
)
def test_both_sides_are_chosen_where_they_are_offered(media: list[dict[str, Any]], chosen: list[str]) -> None:
    (opening,) = Dialogue().text(Messages().open(media))
    assert isinstance(opening, Opening)
    assert (opening.media.format, opening.media.rate, opening.media.channels) == ("PCMU", 8000, chosen)


@pytest.mark.parametrize("media", [[], offer(*BOTH_SIDES, kind="L16"), offer(["external"], kind="opus")])
def test_nothing_but_pcmu_is_taken(media: list[dict[str, Any]]) -> None:
    with pytest.raises(ProtocolError) as refused:
        Dialogue().text(Messages().open(media))
    assert refused.value.code == 415


def begun(*channels: list[str]) -> tuple[Messages, Dialogue]:
    """A session that is open."""
    messages, session = Messages(), Dialogue()
    (opening,) = session.text(messages.open(offer(*channels) if channels else None))
    assert isinstance(opening, Opening)
    assert not opening.probe
    opened = messages.read(session.opened(opening.media))
    assert opened["type"] == "opened"
    assert opened["id"] == messages.session
    assert opened["clientseq"] == 1
    assert opened["parameters"]["media"] == [opening.media.model_dump()]
    return messages, session


def test_interleaved_audio_is_told_apart() -> None:
    _, session = begun()
    data = bytes(range(200))
    (heard,) = session.audio(data)
    assert isinstance(heard, Heard)
    assert np.array_equal(heard.samples[:, 0], decode(data[0::2], Encoding.PCMU))
    assert np.array_equal(heard.samples[:, 1], decode(data[1::2], Encoding.PCMU))
    assert session.position == 100
    assert [step.samples.shape for step in session.audio(b"") if isinstance(step, Heard)] == [(0, 2)]


def test_half_a_sample_is_refused() -> None:
    _, session = begun()
    with pytest.raises(ProtocolError, match="3 bytes"):
        session.audio(b"\xff\xff\xff")


def test_discarded_audio_is_a_gap_to_the_sample() -> None:
    messages, session = begun(["external"])
    session.audio(bytes(1600))
    messages.position = 1600
    assert session.text(messages.skip("discarded", 12_345)) == [Gap(12_345, GapCause.DISCARDED)]
    assert session.position == messages.position == 13_945


def test_a_pause_is_a_gap_as_long_as_resumed_says() -> None:
    messages, session = begun()
    session.audio(bytes(1600))
    messages.position = 800
    assert session.text(messages.write("paused")) == []
    assert session.paused
    later = json.loads(messages.write("ping", rtt="PT0.02S")) | {"position": "PT3S"}
    (pong,) = session.text(json.dumps(later))  # the clock runs on in a pause; nothing is wrong with it
    assert isinstance(pong, Reply)
    assert messages.read(pong.text)["type"] == "pong"
    with pytest.raises(ProtocolError, match="audio while paused"):
        session.audio(bytes(2))
    assert session.text(messages.skip("resumed", 40_001)) == [Gap(40_001, GapCause.PAUSE)]
    assert not session.paused
    assert isinstance(session.audio(bytes(1600))[0], Heard)
    assert session.position == 800 + 40_001 + 800


def test_a_pause_told_twice_is_one() -> None:
    messages, session = begun()
    for kind in ("paused", "paused"):
        session.text(messages.write(kind))
    assert session.text(messages.skip("resumed", 100)) == [Gap(100, GapCause.PAUSE)]
    assert session.text(messages.skip("resumed", 0)) == []


def test_a_clock_in_milliseconds_does_not_drift() -> None:
    messages, session = begun(["external"])
    for n in range(1, 200):
        session.audio(bytes(803))
        messages.position = session.position
        start = round(session.position / 8) * 8  # whole milliseconds, up to half of one off
        session.text(messages.skip("discarded", 96, start))
        assert abs(session.position - n * (803 + 96)) <= 8 * n
        assert session.position == start + 96


def test_an_unreported_loss_is_in_the_next_gap() -> None:
    messages, session = begun(["external"])
    session.audio(bytes(800))
    messages.position = 1600  # 800 samples were lost, and nothing said so
    assert session.text(messages.skip("discarded", 400)) == [Gap(1200, GapCause.DISCARDED)]


def test_a_clock_that_is_not_ours_is_told_once_and_gaps_are_as_long_as_said() -> None:
    messages, session = begun(["external"])
    session.audio(bytes(16_000))
    (notice,) = session.text(messages.skip("discarded", 4000, 0))[:1]
    assert isinstance(notice, Notice)
    assert "-2.000 s" in notice.text
    assert session.position == 20_000
    assert session.text(messages.skip("discarded", 4000, 0)) == [Gap(4000, GapCause.DISCARDED)]


def test_a_position_far_from_the_audio_is_told_and_makes_no_gap() -> None:
    messages, session = begun()
    messages.position = 80_000
    notice, pong = session.text(messages.write("ping"))
    assert isinstance(notice, Notice)
    assert isinstance(pong, Reply)
    assert "+10.000 s" in notice.text
    assert session.position == 0


@pytest.mark.parametrize(
    ("reason", "returns"), [("end", False), ("disconnect", False), ("error", True), ("reconnect", True)]
)
def test_close_is_answered_with_closed(reason: str, returns: bool) -> None:
    messages, session = begun()
    (closing,) = session.text(messages.write("close", reason=reason))
    assert isinstance(closing, Closing)
    assert closing.returns is returns
    closed = messages.read(closing.reply)
    assert (closed["type"], closed["clientseq"], closed["parameters"]) == ("closed", 2, {})
    assert session.closed
    assert session.audio(bytes(2)) == session.text(messages.write("ping")) == []


def test_a_refused_session_hears_nothing_but_close() -> None:
    messages, session = begun()
    told = messages.read(session.disconnect("error", "429 too fast"))
    assert (told["type"], told["parameters"]) == ("disconnect", {"reason": "error", "info": "429 too fast"})
    assert session.audio(b"\xff\xff\xff") == session.text("no JSON") == session.text(messages.open()) == []
    assert isinstance(session.text(messages.write("close", reason="disconnect"))[0], Closing)


def test_a_probe_is_seen() -> None:
    (opening,) = Dialogue().text(Messages(conversation="00000000-0000-0000-0000-000000000000").open())
    assert isinstance(opening, Opening)
    assert opening.probe


def test_messages_of_later_versions_are_passed_over() -> None:
    messages, session = begun()
    for kind in ("update", "dtmf", "playback_started"):
        assert session.text(messages.write(kind, language="de-DE", digit="5")) == []
    assert isinstance(session.text(messages.write("error", code=408, message="slow\nserver"))[0], Notice)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"seq": 3}, "seq 3: want 2"),
        ({"seq": 1}, "seq 1: want 2"),
        ({"serverseq": 2}, "serverseq 2"),
        ({"id": "00000000-0000-0000-0000-000000000001"}, "the message is of another session"),
        ({"type": "open", "parameters": {"conversationId": "x", "media": []}}, "open in a session"),
    ],
)
def test_a_message_that_cannot_come_here(change: dict[str, Any], problem: str) -> None:
    messages, session = begun()
    with pytest.raises(ProtocolError, match=problem):
        session.text(json.dumps(json.loads(messages.write("ping")) | change))


def test_what_comes_before_open() -> None:
    with pytest.raises(ProtocolError, match="audio before"):
        Dialogue().audio(bytes(2))
    with pytest.raises(ProtocolError, match="paused before open"):
        Dialogue().text(Messages().write("paused"))
    assert isinstance(Dialogue().text(Messages().write("close", reason="end"))[0], Closing)
