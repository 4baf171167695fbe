"""How quick this machine is now: a loop of the kinds of work that the engine does, which nothing of ours can change."""

import json
import time
from statistics import median

import numpy as np

_TIMES = 40


def calibration_us() -> float:
    """Processor time of one turn of the loop: transforms, a product, and Python's own objects. The median of many."""
    rng = np.random.default_rng(0)
    # Products of 20 rows: from 32 on OpenBLAS shares one among threads, whose waiting counts as processor time. And
    # arrays below 128 KB: larger ones may be fetched from the system each time, by what the process did before.
    frames, bands = rng.random((4, 20, 256), np.float32), rng.random((129, 64), np.float32)
    costs = []
    for _ in range(_TIMES):
        began = time.process_time_ns()
        power = np.square(np.abs(np.fft.rfft(frames))).astype(np.float32)
        np.log(power @ bands + 1)
        said = [{"name": f"stream-{number}", "shares": [0.1, 0.2, 0.3], "at": number} for number in range(40)]
        json.dumps(said)
        costs.append((time.process_time_ns() - began) / 1000)
    return median(costs[_TIMES // 4 :])
