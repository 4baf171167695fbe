"""Files and PCM streams to int16 blocks: every format, every way to be damaged, constant memory."""

import io
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from schemas.audio import Encoding
from schemas.errors import UserError
from tests.support.sounds import SAMPLES, noise, speech
from undertone.acoustics.codecs import decode, encode
from undertone.acoustics.decode import AudioInfo, expand, load, probe, read_blocks
from undertone.acoustics.pcm import read_pcm
from undertone.acoustics.resample import target_rate

FORMATS = [
    ("wav", "PCM_16", 0),
    ("wav", "PCM_24", 1),
    ("wav", "FLOAT", 1),
    ("flac", "PCM_16", 0),
    ("aiff", "PCM_16", 0),
    ("ogg", "VORBIS", 3000),
    ("opus", "OPUS", 3000),
    ("mp3", "MPEG_LAYER_III", 3000),
]


def everything(path: Path, rate: int | None = None) -> NDArray[np.int16]:
    return np.concatenate(list(read_blocks(path, rate)))


def wave(seconds: float, rate: int, hertz: float = 300) -> NDArray[np.float64]:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


@pytest.mark.parametrize(("suffix", "subtype", "tolerance"), FORMATS)
def test_every_format_gives_its_samples(suffix: str, subtype: str, tolerance: int, tmp_path: Path) -> None:
    path, samples = tmp_path / f"speech.{suffix}", speech(16000)
    written = samples / 32768 if subtype == "FLOAT" else samples
    soundfile.write(path, written, 16000, subtype=subtype, format="ogg" if suffix == "opus" else None)
    decoded = everything(path)
    assert probe(path) == AudioInfo(path, 16000, 1, samples.size)
    assert decoded.shape == (samples.size, 1)
    difference = decoded[:, 0].astype(int) - samples
    assert np.sqrt(np.mean(difference**2)) <= tolerance
    if tolerance == 0:
        assert not difference.any()


def test_channels_stay_apart(tmp_path: Path) -> None:
    samples, rate = load(SAMPLES / "call.flac")
    assert (rate, samples.shape) == (8000, (204_000, 2))
    assert np.abs(samples[:, 0] - samples[:, 1]).max() > 1000


@pytest.mark.parametrize(
    ("own", "wanted", "target"),
    [
        (8000, None, 8000),
        (16000, None, 16000),
        (44100, None, 16000),
        (11025, None, 8000),
        (6000, None, 8000),
        (16000, 8000, 8000),
        (8000, 16000, 16000),
    ],
)
def test_other_rates_are_resampled(own: int, wanted: int | None, target: int, tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, wave(2, own), own, subtype="PCM_16")
    samples = everything(path, wanted)[:, 0]
    assert target_rate(own, wanted) == target
    assert abs(samples.size - 2 * target) <= 1
    inside = slice(target // 4, -target // 4)
    expected = 32768 * wave(2, target)[: samples.size]
    np.testing.assert_allclose(samples[inside], expected[inside], atol=40)


def test_too_loud_floats_are_clipped(tmp_path: Path) -> None:
    path = tmp_path / "loud.wav"
    soundfile.write(path, np.array([2.0, -2.0, 0.5]), 8000, subtype="FLOAT")
    assert everything(path)[:, 0].tolist() == [32767, -32768, 16384]


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def write(path: Path, samples: NDArray[np.generic], rate: int = 8000, subtype: str | None = None) -> None:
    soundfile.write(path, samples, rate, subtype=subtype)


def truncated(suffix: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        whole = path.with_suffix(suffix)
        write(whole, noise(16000))
        cut(whole, 0.5)
        whole.rename(path)

    return make


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "No such file"),
    "empty": (lambda path: path.touch(), "empty file"),
    "text": (lambda path: path.write_text("hello " * 100), "not readable as audio"),
    "directory": (lambda path: path.mkdir(), "not a regular file"),
    "pipe": (os.mkfifo, "not a regular file"),
    "no samples": (lambda path: write(path, np.zeros(0)), "holds no samples"),
    "nan": (lambda path: write(path, np.array([0, np.nan]), subtype="FLOAT"), "no number"),
    "nine channels": (lambda path: write(path, np.zeros((9, 9))), "9 channels, at most 8"),
    "strange rate": (lambda path: write(path, np.zeros(9), rate=100), "100 Hz"),
    "truncated wav": (truncated(".wav"), "truncated, ends after 1.00 s"),
    "truncated flac": (truncated(".flac"), "damaged after"),
    "truncated mp3": (truncated(".mp3"), "truncated"),
    "truncated ogg": (truncated(".ogg"), "bad.wav: "),  # how far its reader comes is chance
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_one_clear_line_that_names_it(case: str, tmp_path: Path) -> None:
    make, message = BAD_FILES[case]
    path = tmp_path / "bad.wav"
    make(path)
    with pytest.raises(UserError) as error:
        everything(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_what_comes_before_the_damage_is_given(tmp_path: Path) -> None:
    path, samples = tmp_path / "cut.wav", noise(32000)
    write(path, samples)
    cut(path, 0.75)
    got: list[NDArray[np.int16]] = []
    with pytest.raises(UserError):
        got.extend(read_blocks(path))
    heard = np.concatenate(got)[:, 0]
    assert heard.size > 23_000
    assert np.array_equal(heard, samples[: heard.size])


def test_a_header_written_to_a_pipe_is_no_truncation(tmp_path: Path) -> None:
    path = tmp_path / "piped.wav"
    write(path, noise(8000))
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert everything(path).size == 8000


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(seconds: int) -> int:
        path = tmp_path / "long.flac"
        soundfile.write(path, np.zeros((seconds * 44100, 2), np.int16), 44100)
        tracemalloc.start()
        for block in read_blocks(path):
            assert len(block) < 2 * 16000
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(120) < 1.2 * peak(10)


def test_load_refuses_what_is_too_long() -> None:
    with pytest.raises(UserError, match="longer than 2 s"):
        load(SAMPLES / "call.flac", max_seconds=2)


def test_expand_finds_audio_in_directories(tmp_path: Path) -> None:
    for name in ("b.wav", "a.flac", "sub/c.MP3", "notes.txt", ".hidden.wav", ".git/d.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    single = tmp_path / "notes.txt"
    found = expand([single, tmp_path])
    assert found == [single, *(tmp_path / name for name in ("a.flac", "b.wav", "sub/c.MP3"))]
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="no audio files"):
        expand([tmp_path / "none"])


@pytest.mark.parametrize("encoding", ["l16", "pcmu", "pcma"])
def test_pcm_comes_as_it_was_sent(encoding: Literal["l16", "pcmu", "pcma"]) -> None:
    wire = {"l16": Encoding.L16LE, "pcmu": Encoding.PCMU, "pcma": Encoding.PCMA}[encoding]
    data = encode(noise(8001 * 2), wire)
    blocks = list(read_pcm(io.BytesIO(data), 8000, 2, encoding))
    assert max(len(block) for block in blocks) == 160
    assert np.array_equal(np.concatenate(blocks).ravel(), decode(data, wire))


def test_pcm_of_another_rate_is_resampled() -> None:
    data = encode((32768 * wave(1, 48000)).astype(np.int16), Encoding.L16LE)
    assert abs(sum(len(block) for block in read_pcm(io.BytesIO(data), 48000, 1)) - 16000) <= 1


@pytest.mark.parametrize(
    ("data", "rate", "channels", "message"),
    [
        (b"", 8000, 1, "no samples"),
        (b"abc", 8000, 1, "ends within a sample"),
        (b"abcdef", 8000, 2, "2 of 4 bytes"),
        (b"ab", 1, 1, "sample rate 1 Hz"),
        (b"ab", 8000, 0, "0 channels"),
        (b"ab", 8000, 10**9, "channels"),
    ],
)
def test_bad_pcm_is_one_clear_line(data: bytes, rate: int, channels: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(read_pcm(io.BytesIO(data), rate, channels))
