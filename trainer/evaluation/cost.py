"""What a bundle costs to run."""

import time

import numpy as np

from schemas.card import BLOCK_MS, STEPS_PER_BLOCK
from undertone.inference.bundle import Bundle
from undertone.inference.runtime import Runtime

_BATCH = 32
_RUNS = 20


def us_per_second(bundle: Bundle) -> float:
    """Microseconds of one core for the network on a second of audio of one stream, in full batches of 32."""
    runtime, spec = Runtime(bundle), bundle.card.front_end
    features = np.zeros((_BATCH, spec.context_frames + spec.frames_per_block, spec.n_mels), np.float32)
    speech = np.ones((_BATCH, STEPS_PER_BLOCK), np.float32)
    state = np.zeros((_BATCH, bundle.card.network.state_size), np.float32)
    times = []
    for _ in range(_RUNS):
        began = time.thread_time()
        runtime.run(features, speech, state)
        times.append(time.thread_time() - began)
    # The thread's own time, in which the network runs, and the quickest: whatever else the machine does can only add.
    return min(times) / _BATCH * 1000 / BLOCK_MS * 1e6
