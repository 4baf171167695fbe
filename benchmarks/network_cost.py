"""What a network costs: microseconds per half second of one stream's audio, in the worker's own runtime.

    python -m benchmarks.network_cost [--json FILE] [--plot docs/research/images/network_cost.png --accuracy FILE]

One thread, all steps speech, context recomputed as the worker does. The best of several rounds counts: what
else the machine does only adds. Untrained weights cost what trained ones do. --accuracy is a JSON file
{"name of a candidate": UAR}, as docs/research/experiments.md gives them.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from benchmarks import needs

needs("trainer", "tensorflow")

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from schemas.card import STEPS_PER_BLOCK
from trainer.packaging.export import BATCH_SIZES, to_tflite
from trainer.training.network import FRAMES_PER_BLOCK, NetworkShape, build_sequence_model

CANDIDATES = {
    "two of 24-40-64-64, GRU 112": NetworkShape(n_classes=8, dense=112, members=2),
    "24-40-64-64, GRU 112": NetworkShape(n_classes=8, dense=112),
    "16-32-64-64, GRU 128": NetworkShape(n_classes=8, channels=(16, 32, 64, 64)),
    "24-40-64-64, GRU 128": NetworkShape(n_classes=8, channels=(24, 40, 64, 64)),
    "32-48-64-96, GRU 160": NetworkShape(n_classes=8, channels=(32, 48, 64, 96), dense=160),
}
BLOCKS_PER_HALF_SECOND = 2


def microseconds(flatbuffer: bytes, shape: NetworkShape, batch: int, rounds: int = 20, calls: int = 20) -> float:
    """Time per stream and half second of audio at this batch size."""
    interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
    runner = interpreter.get_signature_runner(f"batch_{batch}")
    rng = np.random.default_rng(0)
    frames = shape.context_frames + FRAMES_PER_BLOCK
    inputs: dict[str, Any] = {
        "features": rng.normal(-9, 3, (batch, frames, shape.n_mels)).astype(np.float32),
        "speech": np.ones((batch, STEPS_PER_BLOCK), np.float32),
        "state": np.zeros((batch, shape.state_size), np.float32),
    }
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            runner(**inputs)
        best = min(best, (time.perf_counter() - start) / calls)
    return best * 1e6 * BLOCKS_PER_HALF_SECOND / batch


def measure() -> list[dict[str, Any]]:
    """A row for each candidate and arithmetic."""
    rows = []
    for name, shape in CANDIDATES.items():
        model = build_sequence_model(shape)
        for int8 in (False, True):
            flatbuffer = to_tflite(model, int8=int8)
            cost = {batch: round(microseconds(flatbuffer, shape, batch), 1) for batch in BATCH_SIZES}
            arithmetic = "int8 weights" if int8 else "float32"
            rows.append({"name": name, "arithmetic": arithmetic, "us": cost, "parameters": model.count_params()})
            print(f"{name:24} {arithmetic:14} {model.count_params():8,} parameters  {cost}")
    return rows


def plot(rows: list[dict[str, Any]], accuracy: dict[str, float], path: Path) -> None:
    """UAR against cost at batch 32, for the candidates that have a UAR."""
    import matplotlib.pyplot as plt  # noqa: PLC0415  (only this function draws)

    figure, axes = plt.subplots(figsize=(7, 4.5))
    for row in rows:
        key = f"{row['name']}, {row['arithmetic']}"
        if key in accuracy:
            axes.scatter(row["us"][BATCH_SIZES[-1]], accuracy[key], s=70, label=key)
    axes.axvline(100, color="grey", linestyle="--", label="budget")
    axes.axhline(0.72, color="grey", linestyle=":", label="goal")
    axes.set_xlabel("microseconds per half second of audio, batch 32, one core")
    axes.set_ylabel("UAR on unseen speakers (RAVDESS, 4 folds)")
    axes.set(xlim=(0, None), ylim=(0.60, 0.76))
    axes.legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--accuracy", type=Path)
    options = parser.parse_args()
    rows = measure()
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    if options.plot:
        plot(rows, json.loads(options.accuracy.read_text()) if options.accuracy else {}, options.plot)


if __name__ == "__main__":
    main()
