"""What a stage cannot go below without other arithmetic: its library calls alone, on arrays that lie ready.

Everything above a floor is ours: Python, copies, what is kept for exactly once. Microseconds of processor time for each
chunk of continuous speech, the best of several rounds.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import scipy.fft

from benchmarks.stand import speech
from schemas.audio import Encoding
from schemas.card import STEPS_PER_BLOCK
from tests.support.streams import cut
from undertone.acoustics.codecs import decode, encode
from undertone.acoustics.frames import BLOCK_FRAMES, block_samples, block_windows, fft_samples, frame_view, hop_samples
from undertone.acoustics.frontend import GROUP
from undertone.acoustics.level import sum_squares
from undertone.acoustics.pitch import FMIN_HZ, FRAME_SECONDS, SPARSE, TRACK_FRAMES, TRACK_RATE
from undertone.inference.call_stream import CallStream
from undertone.inference.engine import Engine
from undertone.inference.model import Model

_RATE = 8000
_BLOCKS_PER_SECOND = 4
_ROUNDS, _TIMES = 5, 20


def microseconds(work: Callable[[], object]) -> float:
    """Processor time of one call of `work`: the best round's mean."""
    work()
    costs = []
    for _ in range(_ROUNDS):
        began = time.process_time_ns()
        for _ in range(_TIMES):
            work()
        costs.append((time.process_time_ns() - began) / _TIMES / 1000)
    return min(costs)


def floors(model: Model, chunk_ms: int) -> dict[str, float]:
    """By stage; what is not in it has no arithmetic of its own."""
    samples, rate = speech(10)
    blocks = chunk_ms / 1000 * _BLOCKS_PER_SECOND
    windows = block_windows(samples, rate, model.card.front_end.context_frames)[GROUP : 2 * GROUP]
    (chunk, *_) = cut(samples, rate, rate * chunk_ms // 1000, encoding=Encoding.PCMU)
    headers, audio = chunk.headers(), encode(samples[: rate * chunk_ms // 1000], Encoding.PCMU)
    event, record = _event(model, samples, rate), _record(model, samples, rate)
    each = blocks / GROUP
    return {
        "decode": microseconds(lambda: {name: value.decode() for name, value in headers}),
        "intake": microseconds(lambda: decode(audio, Encoding.PCMU)),
        "runs": microseconds(windows.copy) * each,
        "gate": microseconds(_energies(windows, rate)) * each,
        "log_mel": microseconds(_transforms(windows, rate, model)) * each,
        "network": _network(model) * blocks,
        "pitch": microseconds(_correlations(windows, rate)) * each,
        "events": microseconds(lambda: json.dumps(event)) * chunk_ms / 500,  # an update every half second
        "state": microseconds(lambda: bytes(bytearray(record))),
    }


def _energies(windows: np.ndarray, rate: int) -> Callable[[], object]:
    hops = np.ascontiguousarray(windows[:, -block_samples(rate) :]).reshape(-1, BLOCK_FRAMES, hop_samples(rate))
    return lambda: sum_squares(hops)


def _transforms(windows: np.ndarray, rate: int, model: Model) -> Callable[[], object]:
    """One real transform of each frame, and one product with the filters."""
    frames = np.ascontiguousarray(frame_view(windows.astype(np.float32), fft_samples(rate), hop_samples(rate)))
    bands = np.ones((fft_samples(rate) // 2 + 1, model.card.front_end.n_mels), np.float32)
    power = np.ones((*frames.shape[:2], len(bands)), np.float32)

    def work() -> None:
        scipy.fft.rfft(frames)
        np.log(power @ bands)

    return work


def _network(model: Model) -> float:
    """A block in the largest batch."""
    size, spec = model.runtime.sizes[0], model.card.front_end
    features = np.zeros((size, model.front_end.frames, spec.n_mels), np.float32)
    speaking = np.ones((size, STEPS_PER_BLOCK), np.float32)
    state = np.zeros((size, model.card.network.state_size), np.float32)
    return microseconds(lambda: model.runtime.run(features, speaking, state)) / size


def _correlations(windows: np.ndarray, rate: int) -> Callable[[], object]:
    """A transform there and back for each frame of the pitch."""
    length, hop = int(FRAME_SECONDS * rate), block_samples(rate) // TRACK_FRAMES
    tail = windows[:, -(length + hop * (TRACK_FRAMES - 1)) :].astype(np.float32)
    frames = np.ascontiguousarray(frame_view(tail, length, hop)[:, SPARSE, :: rate // TRACK_RATE])
    padded = scipy.fft.next_fast_len(frames.shape[-1] + int(TRACK_RATE / FMIN_HZ), real=True)
    return lambda: scipy.fft.dct(np.square(np.abs(scipy.fft.rfft(frames, padded))), type=1)


def _event(model: Model, samples: np.ndarray, rate: int) -> dict[str, object]:
    with CallStream(model, sample_rate=_RATE) as call:
        return call.feed(samples[: 2 * rate])[0].model_dump(mode="json")


def _record(model: Model, samples: np.ndarray, rate: int) -> bytes:
    engine = Engine(model)
    engine.feed(cut(samples[: 2 * rate], rate, rate // 2, start=datetime.now(UTC), end=False))
    (record,) = engine.take_changes()
    return record.value or b""
