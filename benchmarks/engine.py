"""The engine against the loop that people have in notebooks, on the same call, in one run.

    python -m benchmarks.engine [--calls 256]

The notebook: every half second, librosa features of the last three seconds (40 MFCC, chroma, mel, as most public
speech-emotion notebooks take them), then `predict` of a small Keras LSTM. The engine: the shipped bundle, every
call fed half a second at a time. Both answer every half second, and one core does the work. Seconds are those of
the process, not of the clock, so a busy machine shows less.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import time
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import needs
from tests.support.streams import customer, cut
from undertone.inference.engine import Engine
from undertone.inference.model import Model

HALF_SECOND = 4000


def notebook_seconds(turns: int) -> float:
    """Processor seconds per second of call of the notebook's loop: the median over `turns` predictions."""
    import keras  # noqa: PLC0415  TensorFlow takes seconds to load, and only this half needs it
    import librosa  # noqa: PLC0415

    samples, rate = customer()
    sound = samples.astype(np.float32) / 32768
    model = keras.Sequential([keras.Input((None, 180)), keras.layers.LSTM(128), keras.layers.Dense(8, "softmax")])
    costs = []
    for turn in range(turns):
        began = time.process_time()
        start = turn * HALF_SECOND % (len(sound) - 3 * rate)
        window = sound[start : start + 3 * rate]
        spectrum = np.abs(librosa.stft(window))
        features = np.vstack(
            [
                librosa.feature.mfcc(y=window, sr=rate, n_mfcc=40),
                librosa.feature.chroma_stft(S=spectrum, sr=rate),
                librosa.feature.melspectrogram(y=window, sr=rate, n_mels=128),
            ]
        )
        model.predict(features.T[None], verbose=0)
        costs.append(2 * (time.process_time() - began))
    return median(costs[2:])  # the first ones compile


def engine_seconds(calls: int) -> float:
    """Processor seconds per second of call of the engine: the median over the call's half seconds."""
    engine = Engine(Model.load())
    samples, rate = customer()
    streams = [cut(samples, rate, HALF_SECOND, call_id=f"call-{n}") for n in range(calls)]
    costs = []
    for chunks in zip(*streams, strict=True):
        began = time.process_time()
        engine.feed(chunks)
        engine.take_changes()
        costs.append(2 * (time.process_time() - began) / calls)
    return sum(costs) / len(costs)  # not the median: half seconds of silence cost little, and calls have both


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=256, help="calls that the engine hears at once")
    parser.add_argument("--turns", type=int, default=30, help="predictions of the notebook's loop")
    options = parser.parse_args()
    needs("trainer", "keras", "librosa")
    notebook = notebook_seconds(options.turns)
    table = Table("", "ms per second of call", "calls per core", "times the notebook")
    rows = [("notebook: librosa + predict", notebook)]
    rows += [(f"engine, {calls} calls at once", engine_seconds(calls)) for calls in (1, 32, options.calls)]
    for name, seconds in rows:
        table.add_row(name, f"{1000 * seconds:.3f}", f"{1 / seconds:,.0f}", f"{notebook / seconds:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
