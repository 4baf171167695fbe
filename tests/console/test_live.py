"""The live view: what it shows of each stream, and that it fits the terminal."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from schemas.audio import AudioChunk, Encoding, RecordPlace, Role
from schemas.events import AudioSpan, Segment, Summary, Update
from undertone.console.live import count_line, delay_line, draw, timeline
from undertone.console.streams import Board, percentile

RATE = 8000


def add_audio(board: Board, channel: str, chunks: int, *, ended: bool = False) -> None:
    """Half seconds of audio, half a second apart from second 1000 on; a channel's partition is its name's length."""
    for i in range(chunks):
        board.add_audio(
            AudioChunk(
                call_id="call",
                channel=channel,
                role=Role(channel),
                sequence=i,
                first_sample=4000 * i,
                start_time=datetime(2026, 5, 1, tzinfo=UTC),
                encoding=Encoding.PCMU,
                sample_rate=RATE,
                audio=bytes(4000),
                end_of_stream=ended and i == chunks - 1,
                place=RecordPlace(
                    topic="call-audio", partition=len(channel), offset=i, timestamp_ms=1_000_000 + 500 * i
                ),
            )
        )


def event(kind: type, start_s: float, end_s: float, label: str, **more: object) -> Update | Segment | Summary:
    return kind(
        call_id="call",
        channel="customer",
        role="customer",
        start_sample=int(start_s * RATE),
        end_sample=int(end_s * RATE),
        sample_rate=RATE,
        label=label,
        probabilities={"angry": 0.6, "calm": 0.4} if label != "no-speech" else {},
        speech_s=end_s - start_s,
        level_dbfs=-20.0,
        pitch_hz=200.0,
        model_version="test-1",
        audio=AudioSpan(
            topic="call-audio", partition=len("customer"), first_offset=0, last_offset=max(0, int(end_s * 2) - 1)
        ),
        **more,
    )


def screen(board: Board, width: int) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(draw(board, "Undertone", width))
    return console.export_text().splitlines()


def test_a_segment_has_the_last_word_on_its_half_seconds() -> None:
    board = Board()
    add_audio(board, "customer", 8)
    board.add_event(event(Update, 0.6, 1.0, "calm"), 0)
    board.add_event(event(Update, 0.6, 1.5, "angry"), 0)
    view = board.streams["call/customer"]
    assert {index: cell.label for index, cell in view.cells.items()} == {1: "calm", 2: "angry"}
    assert view.speaking
    board.add_event(event(Segment, 0.6, 1.9, "angry", ended_by="silence"), 0)
    assert {index: cell.label for index, cell in view.cells.items()} == {1: "angry", 2: "angry", 3: "angry"}
    assert not view.speaking
    drawn = timeline(view, board.labels, 40).plain
    assert len(drawn) == 8
    assert [i for i, mark in enumerate(drawn) if mark != "·"] == [1, 2, 3]
    assert timeline(view, board.labels, 6).plain == drawn[2:], "the newest stay in sight"


def test_delays_are_those_of_updates_from_their_last_chunk_on() -> None:
    board = Board()
    board.add_event(event(Update, 0.2, 0.5, "calm"), 1000.12)  # before our own copy of its audio has come
    add_audio(board, "customer", 4)
    board.add_event(event(Update, 0.2, 1.0, "calm"), 1000.74)
    board.add_event(event(Segment, 0.2, 1.0, "calm", ended_by="silence"), 1009.0)
    assert board.delays() == pytest.approx([0.12, 0.24])
    assert delay_line(board.delays()) == "from a chunk on Kafka to its update here: 180 ms median, 234 ms p95"
    assert count_line(board) == "2 s of audio, 2 updates, 1 segment, 0 summaries"


def test_percentiles_of_few() -> None:
    assert percentile([], 50) is None
    assert percentile([3.0], 95) == 3.0
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0


@pytest.mark.parametrize("width", [40, 80, 119, 120, 200])
def test_it_fits_the_terminal(width: int) -> None:
    board = Board()
    assert all(len(line) <= width for line in screen(board, width)), "also before anything has come"
    add_audio(board, "agent", 300)
    add_audio(board, "customer", 300, ended=True)
    for end in range(1, 9):
        board.add_event(event(Update, 0.2, end / 2, "uncertain"), 0)
    board.add_event(event(Segment, 0.2, 4.0, "angry", ended_by="end"), 0)
    board.add_event(event(Summary, 0.0, 150.0, "angry", ended_by="end", segments=1), 0)
    lines = screen(board, width)
    assert all(len(line) <= width for line in lines)
    if width >= 80:
        (agent,) = (line for line in lines if line.startswith(" call/agent"))
        assert "not analysed" in agent
        (customer,) = (line for line in lines if line.startswith(" call/customer") and "·" in line)
        assert "angry" in customer
        assert "0.60" in customer


def test_a_stream_in_which_nobody_spoke() -> None:
    board = Board()
    add_audio(board, "customer", 4, ended=True)
    board.add_event(event(Summary, 0.0, 2.0, "no-speech", ended_by="end", segments=0), 0)
    assert any("silence" in line and line.startswith(" call/customer") for line in screen(board, 100))
