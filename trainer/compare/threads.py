"""One thread for each worker process: the processes share the cores, and sums keep their order."""

import os

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]


def one_thread() -> None:
    """Limit BLAS and OpenMP here. Imports nothing else: openSMILE and TensorFlow crash in one process (malloc)."""
    os.environ["OMP_NUM_THREADS"] = "1"
    threadpool_limits(1)
