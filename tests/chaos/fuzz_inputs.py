"""python -m tests.chaos.fuzz_inputs: damaged bundles, audio files, labels and state records.

Each must be read, or refused by the one error that its reader promises. A damaged file can end a native library's
process, so each kind is read in a process of its own, which a crash ends and the outcome tells.
"""

import argparse
import faulthandler
import json
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from schemas.errors import UserError
from schemas.labels import LabelEnvelope
from tests.support.paths import SAMPLES
from tests.support.streams import customer, cut
from undertone.acoustics.decode import load
from undertone.inference.bundle import DEFAULT_BUNDLE
from undertone.inference.engine import Engine
from undertone.inference.model import Model

_HANG_S = 120
_KEPT = 5
_LABEL = {
    "specversion": "1.0",
    "id": "1",
    "source": "/review",
    "type": "undertone.emotion.label.v1",
    "subject": "call-7/customer",
    "time": "2026-03-01T09:30:00Z",
    "data": {
        "call_id": "call-7",
        "channel": "customer",
        "emotion": "angry",
        "labelled_by": "somebody",
        "start_sample": 0,
        "end_sample": 8000,
        "sample_rate": 8000,
        "audio": {"topic": "call-audio", "partition": 0, "first_offset": 3, "last_offset": 9},
        "comment": "louder at the end",
    },
}

# Undamaged inputs, and what reads them.
Make = Callable[[], tuple[list[bytes], Callable[[bytes], None]]]


@dataclass
class Outcome:
    """What became of one kind of input."""

    inputs: int = 0
    read: int = 0
    refused: int = 0
    crashes: int = 0
    first: str = ""
    exit_status: int | None = 0

    @property
    def passed(self) -> bool:
        """Every input was read or refused, and the process that did it lives."""
        return self.exit_status == 0 and not self.crashes and self.read + self.refused == self.inputs


def damaged(data: bytes, choose: random.Random) -> bytes:
    """Something of `data` flipped, cut off, left out, doubled or replaced."""
    kind, size = choose.randrange(6), len(data)
    at = choose.randrange(size)
    length = choose.choice((1, 4, 64, 4096))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + data[at + length :]
    if kind == 2:
        return data[:at] + data[at : at + length] * 2 + data[at + length :]
    if kind == 3:
        return data[:at] + choose.randbytes(min(length, size - at)) + data[at + length :]
    flipped = bytearray(data)
    for _ in range(choose.choice((1, 1, 8, 100))):
        # Most formats say what they are in their first bytes, where damage does most.
        flipped[choose.randrange(min(size, 200) if kind == 4 else size)] ^= 1 << choose.randrange(8)
    return bytes(flipped)


def _bundles() -> tuple[list[bytes], Callable[[bytes], None]]:
    return [DEFAULT_BUNDLE.read_bytes()], lambda data: _discard(Model.load(data))


def _audio() -> tuple[list[bytes], Callable[[bytes], None]]:
    names = ("angry.flac", "phone.wav")
    place = Path(tempfile.mkdtemp()) / "damaged"  # without a suffix: the library has to look at what is in it

    def read(data: bytes) -> None:
        place.write_bytes(data)
        load(place)

    return [(SAMPLES / name).read_bytes() for name in names], read


def _labels() -> tuple[list[bytes], Callable[[bytes], None]]:
    return [json.dumps(_LABEL).encode()], lambda data: _discard(LabelEnvelope.model_validate_json(data))


def _states() -> tuple[list[bytes], Callable[[bytes], None]]:
    model = Model.load()
    samples, rate = customer()
    engine, chunks = Engine(model), cut(samples, rate, rate)
    saved = []
    for chunk in chunks:
        engine.feed([chunk])
        saved += [record.value for record in engine.take_changes() if record.value]

    def restore(data: bytes) -> None:
        """And go on from it: what is read must not have the engine raise later."""
        engine = Engine(model)
        engine.restore("call/customer", 0, data)
        engine.feed(chunks)

    return saved, restore


def _discard(_: object) -> None:
    """Reading is all that is asked."""


KINDS: dict[str, tuple[Make, type[Exception]]] = {
    "bundles": (_bundles, UserError),
    "audio_files": (_audio, UserError),
    "labels": (_labels, ValueError),
    "state_records": (_states, ValueError),
}


def fuzz(make: Make, promised: type[Exception], inputs: int, seed: int) -> Outcome:
    """Damage that many inputs and have them read in another process; `promised` is how one may be refused."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_read_all, args=(make, promised, inputs, seed, there))
    process.start()
    there.close()
    outcome = Outcome(inputs)
    try:
        while True:
            outcome.read, outcome.refused, outcome.crashes, outcome.first = here.recv()
    except EOFError:
        pass  # it has said its last word
    process.join()
    outcome.exit_status = process.exitcode
    return outcome


def _read_all(make: Make, promised: type[Exception], inputs: int, seed: int, tell: Connection) -> None:
    sources, read = make()
    choose = random.Random(seed)
    counts = {"read": 0, "refused": 0, "crashes": 0}
    first = ""
    for number in range(inputs):
        data = damaged(choose.choice(sources), choose)
        faulthandler.dump_traceback_later(_HANG_S, exit=True)
        try:
            read(data)
            counts["read"] += 1
        except promised:
            counts["refused"] += 1
        except Exception as error:
            counts["crashes"] += 1
            first = first or f"input {number}: {error!r}"[:500]
        if number % 100 == 0:
            tell.send((*counts.values(), first))
    faulthandler.cancel_dump_traceback_later()
    tell.send((*counts.values(), first))


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz all kinds, print one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.fuzz_inputs", description=__doc__)
    parser.add_argument("--inputs", type=int, default=5000, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    start = time.monotonic()
    outcomes = {kind: fuzz(*how, options.inputs, options.seed) for kind, how in KINDS.items()}
    said = {kind: vars(outcome) for kind, outcome in outcomes.items()} | {
        "seconds": round(time.monotonic() - start),
        "seed": options.seed,
        "passed": all(outcome.passed for outcome in outcomes.values()),
    }
    sys.stdout.write(json.dumps(said) + "\n")
    return 0 if said["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
