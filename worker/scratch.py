"""What the C library does with memory that the engine gives back: a worker keeps some of it, for a while.

NumPy frees its scratch arrays in each block and asks for the same again. glibc returns what lies free at the heap's end
to the system once that is a few MB, and the next block has each page of it mapped and zeroed anew: at 120 calls 18 page
faults a chunk, a tenth of the engine's time.

What lies free between what is held glibc never returns by itself, and after large batches that is much: with 7,000
streams open a worker held 229 MB, and 186 since it is told to every five seconds (means of three).
"""

import ctypes
import os
from contextlib import suppress

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


def give_back() -> None:
    """Return all that is free to the system. What blocks need they are given anew, once: some ms."""
    with suppress(OSError, AttributeError):  # it is no glibc
        ctypes.CDLL(None).malloc_trim(0)
