"""The TFLite runtime: runs a bundle's network for any number of streams in fixed batches."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.card import STEPS_PER_BLOCK
from schemas.errors import UserError, one_line
from undertone.inference.bundle import Bundle

try:
    # LiteRT's name until 2.14. Whoever installs the extra `tflite-runtime` wants it; nobody else has it.
    from tflite_runtime.interpreter import Interpreter
except ImportError:
    from ai_edge_litert.interpreter import Interpreter

Floats = NDArray[np.float32]

# What a call costs beside its streams, in streams: 37 us, and 20 us for each of them, on the network that ships.
_CALL = 1.8


class Runtime:
    """One interpreter with a signature `batch_N` for each batch size. Not thread-safe, as interpreters are not.

    Which batch a stream lands in does not show: on LiteRT 2.3 its outputs are the same bits at 1, 8 and 32,
    whatever its neighbours are.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Load the flatbuffer and run it once on silence.

        Raises:
            UserError: an op that the runtime does not know, or signatures, shapes or values that are not the card's.
        """
        spec = bundle.card.network
        self.sizes = sorted(spec.batch_sizes, reverse=True)
        self._frames = bundle.card.front_end.context_frames + bundle.card.front_end.frames_per_block
        self._mels = bundle.card.front_end.n_mels
        self._state_size = spec.state_size
        self._labels = len(bundle.card.labels)
        self._cheapest: dict[int, list[int]] = {0: []}  # batches, by how many streams they are for
        try:
            with _quiet():
                self._load(bundle)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            why = one_line(error) or "no reason given"
            raise UserError(f"{bundle.origin}: this runtime cannot run the network: {why}") from None

    def _load(self, bundle: Bundle) -> None:
        # One thread: workers scale by processes, and two threads cost more than they gain at these sizes.
        self._interpreter = Interpreter(model_content=bundle.flatbuffer, num_threads=1)
        self._runners: dict[int, Any] = {
            size: self._interpreter.get_signature_runner(f"batch_{size}") for size in self.sizes
        }
        for size in self.sizes:
            self._try(size)

    def run(self, features: Floats, speech: Floats, state: Floats) -> tuple[Floats, Floats]:
        """Run one block of n streams.

        Args:
            features: float32 [n, context + 20, n_mels], raw log-mel frames.
            speech: float32 [n, 5], 1 for a step with speech; other steps leave the state as it is.
            state: float32 [n, state_size], zeros at the start of a segment.

        Returns:
            logits float32 [n, labels] and the next state float32 [n, state_size].
        """
        n = len(features)
        logits, after = np.empty((n, self._labels), np.float32), np.empty((n, self._state_size), np.float32)
        start = 0
        for size in self._batches(n):
            part = slice(start, start + size)
            out = self._runners[size](
                features=_filled(features[part], size),
                speech=_filled(speech[part], size),
                state=_filled(state[part], size),
            )
            filled = min(size, n - start)
            logits[part], after[part] = out["logits"][:filled], out["state"][:filled]
            start += size
        return logits, after

    def _batches(self, n: int) -> list[int]:
        """The cheapest batches that hold n streams: the last one may be larger than what is left for it."""
        largest = self.sizes[0]
        return [largest] * (n // largest) + self._rest(n % largest)

    def _rest(self, n: int) -> list[int]:
        if n not in self._cheapest:
            ways = [[size, *self._rest(max(n - size, 0))] for size in self.sizes]
            self._cheapest[n] = min(ways, key=lambda sizes: sum(sizes) + _CALL * len(sizes))
        return self._cheapest[n]

    def _try(self, size: int) -> None:
        out = self._runners[size](
            features=np.zeros((size, self._frames, self._mels), np.float32),
            speech=np.ones((size, STEPS_PER_BLOCK), np.float32),
            state=np.zeros((size, self._state_size), np.float32),
        )
        shapes = {name: value.shape for name, value in out.items()}
        wanted = {"logits": (size, self._labels), "state": (size, self._state_size)}
        if shapes != wanted:
            raise ValueError(f"outputs {shapes}, the card says {wanted}")
        if not all(np.isfinite(value).all() for value in out.values()):
            raise ValueError("outputs are not finite")


def _filled(values: Floats, size: int) -> Floats:
    """Rows of silence behind `values`, up to a whole batch."""
    if len(values) == size:
        return values
    whole = np.zeros((size, *values.shape[1:]), np.float32)
    whole[: len(values)] = values
    return whole


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back LiteRT's "INFO: Created ... delegate" on stderr, for which it has no switch; all else goes through."""
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            os.write(2, b"".join(line for line in held if not line.startswith(b"INFO:")))
