"""Cutting and naming: whatever the chunks, the stream holds exactly the decoded samples."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from schemas.audio import AudioChunk, Encoding, Role
from schemas.errors import UserError
from schemas.streams import Voice, call_ids, copies, describe, voices
from undertone.acoustics.chunks import chunks_of, pieces
from undertone.acoustics.codecs import decode, encode
from undertone.acoustics.decode import load
from undertone.acoustics.sources import open_file

AGENT, CUSTOMER = Voice("agent", Role.AGENT), Voice("customer", Role.CUSTOMER)


def tones(rate: int, seconds: float, channels: int = 2) -> np.ndarray:
    """Float [n, channels]: another chirp with noise on each channel, so that no two stretches are alike."""
    t = np.arange(int(rate * seconds)) / rate
    noise = np.random.default_rng(3).normal(0, 0.05, (t.size, channels))
    return np.stack([0.4 * np.sin(2 * np.pi * (150 + 90 * i + 40 * t) * t) for i in range(channels)], 1) + noise


@given(
    lengths=st.lists(st.integers(0, 700), max_size=12),
    size=st.integers(1, 900),
    live=st.booleans(),
)
def test_pieces_are_the_blocks_however_they_were_cut(lengths: list[int], size: int, live: bool) -> None:
    samples = np.random.default_rng(1).integers(-9000, 9000, (sum(lengths), 2)).astype(np.int16)
    blocks = np.split(samples, np.cumsum(lengths)[:-1]) if lengths else []
    cut = list(pieces(blocks, size, 2, live=live))
    assert np.array_equal(np.concatenate([piece.samples for piece in cut]), samples)
    assert [piece.sequence for piece in cut] == list(range(len(cut)))
    assert [piece.first_sample for piece in cut] == [size * i for i in range(len(cut))]
    assert [piece.last for piece in cut] == [False] * (len(cut) - 1) + [True]
    assert all(len(piece.samples) == size for piece in cut[:-1])
    if len(samples) and not live:
        assert len(cut[-1].samples), "a file's last chunk holds audio"


def test_a_live_source_does_not_hold_a_full_piece_back() -> None:
    waiting = iter([np.zeros((160, 1), np.int16)])
    assert not next(pieces(waiting, 160, 1, live=True)).last


@pytest.mark.parametrize("encoding", [Encoding.L16, Encoding.PCMU, Encoding.PCMA])
@pytest.mark.parametrize("chunk_ms", [20, 370, 1000, 10_000])
@pytest.mark.parametrize(("name", "rate", "stream_rate"), [("a.wav", 8000, 8000), ("b.flac", 44_100, 16_000)])
def test_chunks_of_a_file_hold_its_decoded_samples(
    tmp_path: Path, encoding: Encoding, chunk_ms: int, name: str, rate: int, stream_rate: int
) -> None:
    soundfile.write(tmp_path / name, tones(rate, 2.3), rate)
    recording = open_file(str(tmp_path / name), None)
    assert recording.rate == stream_rate
    expected, _ = load(tmp_path / name)
    both = (AGENT, CUSTOMER)
    size = stream_rate * chunk_ms // 1000
    chunks = [
        c for piece in pieces(recording.blocks, size, 2) for c in chunks_of(piece, both, recording.rate, encoding)
    ]
    for side, voice in enumerate(both):
        own = [chunk for chunk in chunks if chunk.channel == voice.channel]
        assert b"".join(chunk.audio for chunk in own) == encode(expected[:, side].copy(), encoding)
        assert all(chunk.role is voice.role and chunk.first_sample == chunk.sequence * size for chunk in own)
        assert [chunk.end_of_stream for chunk in own] == [False] * (len(own) - 1) + [True]
        if encoding is Encoding.L16:
            heard = np.concatenate([decode(chunk.audio, encoding) for chunk in own])
            assert np.array_equal(heard, expected[:, side])
    record = chunks[-1]
    assert AudioChunk.from_record(record.stream.encode(), record.audio, record.headers()) == record


def test_roles_left_to_right() -> None:
    assert voices(None, 1) == (CUSTOMER,)
    assert voices(None, 2) == (AGENT, CUSTOMER)
    assert voices("Customer, agent", 2) == (CUSTOMER, AGENT)
    assert voices("customer,agent,customer", 3)[2] == Voice("customer-2", Role.CUSTOMER)
    assert describe(voices(None, 2)) == "left = agent, right = customer"


@pytest.mark.parametrize(
    ("roles", "channels", "problem"),
    [
        ("agent,caller", 2, "'caller' is no role"),
        ("agent", 2, "names 1 channel, but the audio has 2 channels"),
        ("agent,customer", 1, "names 2 channels, but the audio has 1 channel"),
        ("", 1, "'' is no role"),
        (None, 3, "say who speaks on each"),
    ],
)
def test_roles_that_do_not_fit(roles: str | None, channels: int, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        voices(roles, channels)


def test_call_ids_come_from_file_names() -> None:
    assert call_ids(["x/call 1.wav", "y/call 1.flac", "z/Gespräch (3).mp3", "电话.wav", "_a.b.wav"]) == [
        "call-1",
        "call-1-2",
        "Gesprach-3-",
        "call",
        "a.b",
    ]
    assert call_ids(["a/one.wav"], "desk-7") == ["desk-7"]
    assert call_ids(["a/one.wav", "b/one.wav"], "day") == ["day-one", "day-one-2"]
    assert copies("one", 1) == ["one"]
    assert copies("one", 3) == ["one-0001", "one-0002", "one-0003"]


@pytest.mark.parametrize("call_id", ["", "a/b", "-a", "a b", "ü", "x" * 200])
def test_a_call_id_that_kafka_keys_cannot_have(call_id: str) -> None:
    with pytest.raises(UserError, match="--call-id"):
        call_ids(["one.wav"], call_id)


@given(st.text(max_size=300))
def test_any_file_name_gives_a_valid_call_id(stem: str) -> None:
    (call_id,) = call_ids([stem.replace("/", "").replace("\0", "") + ".wav"])
    chunk = AudioChunk(
        call_id=copies(call_id, 9)[8],
        channel="customer",
        role=Role.CUSTOMER,
        sequence=0,
        first_sample=0,
        start_time="2026-01-01T00:00:00Z",
        encoding=Encoding.L16,
        sample_rate=8000,
        audio=b"\0\0",
    )
    assert chunk.call_id.startswith(call_id)
