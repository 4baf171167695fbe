"""Tries a stranger's bundle in a process of its own, for a crafted network can end the process that loads it.

LiteRT trusts the flatbuffer: of 150 copies with a few altered bytes and a right checksum one ended the process with
SIGSEGV. The child loads the bundle as a worker would, runs it on noise, and is held to a time and a memory.
"""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from schemas.card import BLOCK_MS, STEPS_PER_BLOCK
from schemas.errors import UserError, one_line
from undertone.inference.bundle import MAX_BUNDLE_BYTES
from undertone.inference.model import Model

# A trial takes half a second, most of it Python's imports; under a load of ten it took six.
_WALL_S = 60
_CPU_S = 30
# What loading and running may add: the shipped bundle takes 300 MB of addresses, most of them librosa's libraries.
_MEMORY_BYTES = 768 * 1024 * 1024
_REFUSED = 3
_COMMAND = (sys.executable, "-P", "-m", "undertone.inference.trial")
# A block of one stream must not take longer than it lasts, or not even one call could be heard.
_BLOCK_S = BLOCK_MS / 1000


class Trial:
    """One bundle on trial. It begins at once; `done` does not wait for its verdict, `reason` does."""

    def __init__(self, bundle: bytes, wall_s: float = _WALL_S) -> None:
        self._end = time.monotonic() + wall_s
        self._wall_s = wall_s
        with tempfile.TemporaryFile() as source:  # not a pipe: nobody would have to feed it
            source.write(bundle)
            source.seek(0)
            self._process = subprocess.Popen(
                _COMMAND,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )

    @property
    def died(self) -> bool:
        """Whether the child came to no verdict: it crashed, or had to be ended."""
        return self._process.returncode not in (0, _REFUSED, None)

    def done(self) -> bool:
        """Whether there is a verdict."""
        if self._process.poll() is None and time.monotonic() > self._end:
            self.stop()
        return self._process.returncode is not None

    def stop(self) -> None:
        """End the trial; without a verdict it counts as died."""
        self._process.kill()
        self._process.wait()

    def reason(self) -> str:
        """Why the bundle must not be used, in one line; empty where it may. Waits for the verdict."""
        try:
            said, _ = self._process.communicate(timeout=max(0.0, self._end - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.stop()
            return f"its trial took longer than {self._wall_s:.0f} s"
        status = self._process.returncode
        if status == 0:
            return ""
        if status == _REFUSED:
            return one_line(said.decode(errors="replace"), limit=600)
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        return f"it ended the process that tried it ({how})"


def _environment() -> dict[str, str]:
    """What the child may know: not how to reach Kafka."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("UNDERTONE_", "KAFKA_"))}
    # The package is found as here, and a thread pool of OpenBLAS costs 30 MB a core.
    return ours | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}


def _hold() -> None:
    """Bound this process. The alarm ends it even where who started it is dead."""
    signal.alarm(_WALL_S)
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    limit = _addresses() + _MEMORY_BYTES
    with suppress(ValueError, OSError):  # macOS has no such limit; the time is bounded there too
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _addresses() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:  # not on Linux
        return 0


def _run_on_noise(model: Model) -> None:
    """Run front end and network on noise, as the engine would.

    Raises:
        UserError: values that are not finite, or a network slower than the sound it hears.
    """
    rng = np.random.default_rng(0)
    network, front_end = model.card.network, model.front_end
    for size in model.runtime.sizes:
        rate = 16000 if size > 1 else 8000
        windows = rng.integers(-8000, 8000, (size, front_end.window_samples(rate))).astype(np.int16)
        state = rng.normal(0, 1, (size, network.state_size)).astype(np.float32)
        features = front_end.compute(windows, rate)
        start = time.process_time()
        outputs = model.runtime.run(features, rng.integers(0, 2, (size, STEPS_PER_BLOCK)).astype(np.float32), state)
        took = time.process_time() - start
        if not all(np.isfinite(value).all() for value in (features, *outputs)):
            raise UserError("outputs on noise are not finite")
        if took > _BLOCK_S * size:
            raise UserError(f"a block of {size} streams takes {took:.1f} s, longer than it lasts")


def _main() -> int:
    data = sys.stdin.buffer.read(MAX_BUNDLE_BYTES + 1)
    _hold()
    try:
        _run_on_noise(Model.load(data))
    except UserError as error:
        print(error)
        return _REFUSED
    except Exception as error:
        # A stranger's card may take any line of ours to something nobody thought of: it is the bundle's fault.
        print(f"{type(error).__name__}: {error}")
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(_main())
