"""Features are computed once, as a live stream gives them, and anew when sound, front end or code change."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from schemas.card import FrontEndSpec, GateSpec
from schemas.errors import UserError
from tests.support.voices import RATE, utterance
from trainer.data import cache
from trainer.data.cache import Features, cached_features

FRONT_END, GATE = FrontEndSpec(context_frames=7), GateSpec()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    soundfile.write(path, utterance("satisfied", 1, 0), RATE)
    return path


def entries(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").rglob("*.npz"))


def one(path: Path, front_end: FrontEndSpec = FRONT_END, gate: GateSpec = GATE, variant: str = "clean") -> Features:
    found, errors = cached_features([path], front_end, gate, variant=variant)
    assert not errors
    assert found[0] is not None
    return found[0]


def test_the_second_time_nothing_is_computed(tmp_path: Path, wav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = one(wav)
    monkeypatch.setattr(cache, "compute", lambda *_: pytest.fail("computed again"))
    second = one(wav)
    assert np.array_equal(first.frames, second.frames)
    assert np.array_equal(first.raw, second.raw)
    assert np.array_equal(first.level_db, second.level_db)
    assert first.recording == second.recording
    assert len(entries(tmp_path)) == 1


def test_other_sound_front_end_gate_or_code_is_another_entry(
    tmp_path: Path, wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one(wav)
    one(wav, front_end=FRONT_END.model_copy(update={"n_mels": 32}))
    one(wav, gate=GATE.model_copy(update={"floor_margin_db": 12.0}))
    one(wav, variant="telephone")
    assert len(entries(tmp_path)) == 4
    monkeypatch.setattr(cache, "_code_version", lambda: "other code")
    one(wav)
    assert len(entries(tmp_path)) == 5
    soundfile.write(wav, utterance("frustrated", 1, 0), RATE)
    one(wav)
    assert len(entries(tmp_path)) == 6


def test_a_damaged_entry_is_made_anew(tmp_path: Path, wav: Path) -> None:
    whole = one(wav)
    (entry,) = entries(tmp_path)
    for damage in (b"", b"PK not a zip", entry.read_bytes()[:500]):
        entry.write_bytes(damage)
        assert np.array_equal(one(wav).frames, whole.frames)


def test_the_same_recording_is_known_in_another_file(tmp_path: Path, wav: Path) -> None:
    again = tmp_path / "again.flac"
    soundfile.write(again, utterance("satisfied", 1, 0), RATE)
    assert one(wav).recording == one(again).recording


def test_shapes_are_whole_blocks(wav: Path) -> None:
    found = one(wav)
    assert found.frames.shape == (len(found.raw), 64)
    assert found.frames.dtype == np.float32
    assert len(found.raw) % 20 == 0
    assert 0.3 < found.raw.mean() < 0.95


def test_bad_files_are_named_and_the_others_go_on(tmp_path: Path, wav: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    found, errors = cached_features([tmp_path / "gone.wav", wav, tmp_path / "bad.wav"], FRONT_END, GATE)
    assert [features is None for features in found] == [True, False, True]
    assert "gone.wav" in errors[0]
    assert "bad.wav" in errors[1]


def test_a_cache_that_cannot_be_written_gets_one_line(
    tmp_path: Path, wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UNDERTONE_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set UNDERTONE_CACHE_DIR"):
        one(wav)
