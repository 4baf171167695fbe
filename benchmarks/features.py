"""What features cost, and how close they are to librosa, side by side in one run.

    python -m benchmarks.features [AUDIO ...] [--rate 8000|16000] [--limit N]

Costs: microseconds of the process per block of 250 ms of one stream, the best of several rounds, one core: log-mel of
28 frames, the gate over 20 hops, pitch at 5 points. librosa gets the same blocks as channels, in float; for the gate it
computes the level alone, and its YIN has no voicing. Parity: the largest
distance of a frame from librosa's over the given files (by default the project's samples; a directory stands for the
audio files in it), relative to that frame.
"""

import os
from importlib.metadata import version
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import needs

needs("analysis", "librosa")

import librosa
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from schemas.card import FrontEndSpec, GateSpec
from tests.support.librosa_reference import librosa_features, relative_errors
from undertone.acoustics.decode import expand, load
from undertone.acoustics.feature_stream import NAMES, features_of
from undertone.acoustics.frames import BLOCK_FRAMES, block_samples, block_windows, fft_samples, hop_samples
from undertone.acoustics.frontend import FrontEnd
from undertone.acoustics.gate import Gate
from undertone.acoustics.level import sum_squares
from undertone.acoustics.pitch import FRAME_SECONDS, track_pitch

SAMPLES = Path(__file__).parent.parent / "samples"
BATCHES = (1, 8, 32)
CONTEXT = 8  # the most that a card may ask for


def microseconds(work: Callable[[], object], rounds: int = 7, times: int = 20) -> float:
    """Process time of one call of `work`: the best round's mean."""
    work()
    costs = []
    for _ in range(rounds):
        began = time.process_time_ns()
        for _ in range(times):
            work()
        costs.append((time.process_time_ns() - began) / times / 1000)
    return min(costs)


def ours(windows: NDArray[np.int16], rate: int) -> dict[str, Callable[[], object]]:
    """The worker's work on a batch of windows."""
    front_end, gate = FrontEnd(FrontEndSpec(context_frames=CONTEXT)), Gate(GateSpec())
    state, hop = gate.initial_state(len(windows)), hop_samples(rate)
    hops = np.ascontiguousarray(windows[:, -block_samples(rate) :]).reshape(len(windows), BLOCK_FRAMES, hop)
    return {
        "log-mel": lambda: front_end.compute(windows, rate),
        "gate": lambda: gate.step(sum_squares(hops), hop, state),
        "pitch": lambda: track_pitch(windows, rate),
    }


def librosas(windows: NDArray[np.int16], rate: int) -> dict[str, Callable[[], object]]:
    """The same by librosa, which takes the batch as channels."""
    sound = windows.astype(np.float32) / 32768
    hop, n_fft, long = hop_samples(rate), fft_samples(rate), int(FRAME_SECONDS * rate)
    block = sound[:, -block_samples(rate) :]
    grid: dict[str, Any] = {"n_fft": n_fft, "hop_length": hop, "center": False}
    return {
        "log-mel": lambda: np.log(
            np.maximum(
                librosa.feature.melspectrogram(y=sound, sr=rate, n_mels=64, fmin=60, fmax=4000, norm=None, **grid),
                1e-10,
            )
        ),
        "gate": lambda: librosa.amplitude_to_db(
            librosa.feature.rms(y=block, frame_length=hop, hop_length=hop, center=False)
        ),
        "pitch": lambda: librosa.yin(
            sound[:, -(long + 4 * 4 * hop) :],
            fmin=65,
            fmax=400,
            sr=rate,
            frame_length=long,
            hop_length=4 * hop,
            center=False,
        ),
    }


def print_costs(console: Console, samples: NDArray[np.int16], rate: int) -> None:
    """Table of microseconds per block and stream."""
    windows = block_windows(np.resize(samples, 10 * rate), rate, CONTEXT)[-max(BATCHES) :]
    table = Table("", *(f"batch {n}" for n in BATCHES), *(f"librosa {n}" for n in BATCHES))
    for name in ours(windows, rate):
        cells = [microseconds(make(windows[:n], rate)[name]) / n for make in (ours, librosas) for n in BATCHES]
        table.add_row(name, *(f"{cell:.1f}" for cell in cells))
    console.print(f"\nmicroseconds per block of 250 ms and stream at {rate} Hz")
    console.print(table)


def print_parity(console: Console, paths: list[Path], rate: int | None) -> None:
    """Table of the largest and the median distance from librosa."""
    errors: dict[str, list[NDArray[np.float64]]] = {name: [] for name in NAMES if name != "voiced"}
    for path in paths:
        samples, own = load(path, rate)
        for channel in samples.T:
            features, reference = features_of(channel, own, NAMES), librosa_features(channel, own)
            # In a frame with one sample of +-1 all lags tie, and rounding picks the pitch.
            lone = features["rms"][:, 0] < 0.2 / 32768
            for name, found in errors.items():
                distance = relative_errors(features[name], reference[name])
                found.append(distance[~lone] if name == "pitch" else distance)
    table = Table("feature", "largest", "median", "frames")
    for name, found in errors.items():
        every = np.concatenate(found)
        table.add_row(name, f"{every.max():.1e}", f"{np.median(every):.1e}", str(every.size))
    console.print(f"\nrelative distance from librosa {version('librosa')} over {len(paths)} files")
    console.print(table)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio", nargs="*", type=Path, default=[SAMPLES], help="files or directories")
    parser.add_argument("--rate", type=int, choices=(8000, 16000), help="resample the files to this rate first")
    parser.add_argument("--limit", type=int, default=40, help="take so many of the files, evenly spread")
    options = parser.parse_args()
    console, paths = Console(), expand(options.audio)
    print_parity(console, paths[:: -(-len(paths) // options.limit)], options.rate)
    for rate in (8000, 16000):
        print_costs(console, load(SAMPLES / "call.flac", rate)[0][:, 1], rate)


if __name__ == "__main__":
    main()
