"""Files as calls disturb them, to test with: babble, sounds that are no speech, and what a bad line does.

Babble is several people talking at once behind the speaker. No network here is trained on this kind of noise.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from trainer.training.hold_music import piece
from undertone.acoustics.decode import load

_RATE = 16_000
_TALKERS = 6
_SECONDS = 20
# Speech pauses count for nothing in the speech level: only samples within 30 dB of the loudest 12.5 ms do.
_HOP, _BELOW_PEAK = 200, 1e-3
_PACKET = _RATE // 50
_LOST = 0.05  # begin to be lost, one, two or three in a row: a tenth is
_ECHO_DB, _MUSIC_DB, _PIECES = 15, 10, 12


def write_with_babble(
    paths: Sequence[Path], talkers: Sequence[Path], snr_db: float, seed: int, folder: Path
) -> list[Path]:
    """Write each file with babble added, as 16 kHz WAV in `folder`; the same seed gives the same noise.

    Args:
        talkers: files to make the babble of; speakers other than those of `paths`.
        snr_db: level of the speech (its pauses left out) over that of the babble.
    """
    rng = np.random.default_rng(seed)
    babble = _babble([talkers[k] for k in rng.permutation(len(talkers))[: 3 * _TALKERS]])
    return _write(paths, [babble], snr_db, rng, folder)


def write_with_sounds(
    paths: Sequence[Path], sounds: Sequence[Path], snr_db: float, seed: int, folder: Path
) -> list[Path]:
    """The same with recordings of sounds that are no speech, one after another."""
    levelled = []
    for path in sounds:
        sound = _mono(path)
        levelled.append(sound / max(float(np.sqrt(np.mean(sound**2))), 1e-6))
    return _write(paths, levelled, snr_db, np.random.default_rng(seed), folder)


def on_bad_lines(paths: Sequence[Path], others: Sequence[Path], seed: int) -> Iterator[tuple[str, list[Path]]]:
    """The files as three bad lines give them, a condition's name and 16 kHz WAVs that last until the next is asked for.

    One packet of 20 ms in ten is lost, and silent; the other side's echo lies 15 dB below the speech (`others`, one
    after another); music on hold lies 10 dB below it, of the make of training's but not the same.
    """
    for name, write in (
        ("packet loss 1 in 10", lambda folder: _write_with_losses(paths, seed, folder)),
        (f"echo {_ECHO_DB} dB", lambda folder: write_with_sounds(paths, others, _ECHO_DB, seed, folder)),
        (f"hold music {_MUSIC_DB} dB", lambda folder: _write_with_music(paths, seed, folder)),
    ):
        with tempfile.TemporaryDirectory(prefix="undertone-") as folder:
            yield name, write(Path(folder))


def _write_with_losses(paths: Sequence[Path], seed: int, folder: Path) -> list[Path]:
    rng, written = np.random.default_rng(seed), []
    for number, path in enumerate(paths):
        speech = _mono(path)
        begins = rng.random(-(-len(speech) // _PACKET)) < _LOST
        lost = begins.copy()
        for row in (1, 2):
            lost[row:] |= begins[:-row] & (rng.integers(0, 3, len(begins) - row) >= row)
        written.append(_keep(np.where(np.repeat(lost, _PACKET)[: len(speech)], 0, speech), folder, number))
    return written


def _write_with_music(paths: Sequence[Path], seed: int, folder: Path) -> list[Path]:
    # Training's seeds are small numbers.
    rng = np.random.default_rng((seed, 2))
    pieces = [piece(rng).astype(np.float32) for _ in range(_PIECES)]
    return _write(paths, pieces, _MUSIC_DB, rng, folder)


def _write(
    paths: Sequence[Path],
    noises: Sequence[NDArray[np.float32]],
    snr_db: float,
    rng: np.random.Generator,
    folder: Path,
) -> list[Path]:
    written = []
    for number, path in enumerate(paths):
        speech, noise = _mono(path), noises[number % len(noises)]
        noise = np.resize(np.roll(noise, -int(rng.integers(len(noise)))), len(speech))
        noise *= _speech_rms(speech) / 10 ** (snr_db / 20)
        mixed = speech + noise
        # Clipping would be another distortion than the one that is measured.
        mixed /= max(1.0, float(np.abs(mixed).max(initial=0.0)) / 0.99)
        written.append(_keep(mixed, folder, number))
    return written


def _keep(sound: NDArray[np.float32], folder: Path, number: int) -> Path:
    target = folder / f"{number}.wav"
    soundfile.write(target, sound, _RATE, subtype="PCM_16")
    return target


def _babble(talkers: Sequence[Path]) -> NDArray[np.float32]:
    """20 s of six voices at equal level, RMS 1."""
    total = np.zeros(_SECONDS * _RATE, np.float32)
    for voice in range(min(_TALKERS, len(talkers))):
        voices = np.concatenate([_mono(path) for path in talkers[voice::_TALKERS]])
        total += np.resize(voices / max(_speech_rms(voices), 1e-6), len(total))
    return total / max(float(np.sqrt(np.mean(total**2))), 1e-6)


def _mono(path: Path) -> NDArray[np.float32]:
    samples, _ = load(path, _RATE)
    return (samples.mean(axis=1) / 32768).astype(np.float32)


def _speech_rms(samples: NDArray[np.float32]) -> float:
    hops = np.square(samples[: len(samples) // _HOP * _HOP].reshape(-1, _HOP)).mean(axis=1)
    if not hops.size:
        return 0.0
    return float(np.sqrt(hops[hops >= hops.max() * _BELOW_PEAK].mean()))
