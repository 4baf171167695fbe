"""How much of some sound the gate takes for speech.

    python -m benchmarks.gate AUDIO ... [--margin DB] [--minimum DBFS] [--limit N]

A row for each path (a directory stands for the audio files in it) and channel: the share of hops that are speech, the
same with the hang-over, the range of the files' shares, when speech begins (s), and the level at 5, 50 and 95 % (dBFS).
"""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from schemas.card import GateSpec
from undertone.acoustics.decode import expand, load
from undertone.acoustics.frames import HOPS_PER_SECOND, hop_samples
from undertone.acoustics.gate import Gate, GateDecision
from undertone.acoustics.level import sum_squares

SAMPLES = Path(__file__).parent.parent / "samples"


def decisions(path: Path, gate: Gate) -> list[GateDecision]:
    """The gate's decisions on each channel of a file, every hop of it at once."""
    samples, rate = load(path)
    hop = hop_samples(rate)
    channels = samples[: len(samples) // hop * hop].T.reshape(samples.shape[1], -1, hop)
    return [gate.step(sum_squares(channel)[None], hop, gate.initial_state(1)) for channel in channels]


def row(name: str, found: list[GateDecision]) -> list[str]:
    """One line of the table."""
    shares = [decision.raw.mean() for decision in found]
    first = [decision.raw[0].argmax() / HOPS_PER_SECOND for decision in found if decision.raw.any()]
    levels = np.percentile(np.concatenate([decision.level_db[0] for decision in found]), [5, 50, 95])
    return [
        name,
        str(len(found)),
        f"{np.mean(shares):.2f}",
        f"{np.mean([decision.active.mean() for decision in found]):.2f}",
        f"{min(shares):.2f}-{max(shares):.2f}",
        f"{np.median(first):.2f}" if first else "never",
        " ".join(f"{level:.0f}" for level in levels),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio", nargs="*", type=Path, default=expand([SAMPLES]), help="files, directories")
    parser.add_argument("--margin", type=float, default=GateSpec().floor_margin_db, help="dB above the noise floor")
    parser.add_argument("--minimum", type=float, default=GateSpec().min_dbfs, help="dBFS below which nothing is speech")
    parser.add_argument("--limit", type=int, default=60, help="take so many files of a directory, evenly spread")
    options = parser.parse_args()
    gate = Gate(GateSpec(floor_margin_db=options.margin, min_dbfs=options.minimum))
    table = Table("", "files", "speech", "hang-over", "range", "begins", "dBFS")
    for path in options.audio:
        files = expand([path])
        found = [decisions(file, gate) for file in files[:: -(-len(files) // options.limit)]]
        for number, channel in enumerate(zip(*found, strict=False)):
            table.add_row(*row(f"{path.name}/{number}" if len(found[0]) > 1 else path.name, list(channel)))
    Console().print(table)


if __name__ == "__main__":
    main()
