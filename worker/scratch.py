"""What the C library does with memory that the engine gives back: a worker keeps some of it.

NumPy frees its scratch arrays in each block and asks for the same again. glibc returns what lies free at the heap's end
to the system once that is a few MB, and the next block has each page of it mapped and zeroed anew: at 120 calls 18 page
faults a chunk, a tenth of the engine's time.
"""

import ctypes
import os

# `mallopt`'s names for them, of malloc.h. Larger arrays, which the stream table grows by, still go back at once.
_TRIM_THRESHOLD, _KEPT = -1, 64 * 1024 * 1024
_MMAP_THRESHOLD, _LARGE = -3, 4 * 1024 * 1024
_CHOSEN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_scratch_memory() -> bool:
    """Have the process keep up to 64 MB that it has freed. False where an operator has chosen, or it is no glibc."""
    if any(name in os.environ for name in _CHOSEN):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGE) and mallopt(_TRIM_THRESHOLD, _KEPT))
