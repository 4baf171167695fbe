"""A WAV file that is never written: its header, and which of its bytes a request wants."""

import re
import struct

HEADER = 44
_RANGE = re.compile(r"bytes=(\d{1,15})?-(\d{1,15})?")


def header(samples: int, rate: int) -> bytes:
    """The first 44 bytes of a file of so many samples: one channel, 16 bits each."""
    size = 2 * samples
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF", HEADER - 8 + size, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", size,
    )  # fmt: skip


def wanted(text: str | None, size: int) -> tuple[int, int] | None:
    """The bytes [from, to) that a `Range` header asks for of so many; None where it asks for all of them.

    A header that is not understood, and one that asks for several pieces, may be ignored (RFC 9110, 14.2).

    Raises:
        ValueError: it asks for none that are there.
    """
    match = _RANGE.fullmatch(text or "")
    if match is None or not any(match.groups()):
        return None
    first, last = (int(group) if group else None for group in match.groups())
    if first is None:
        first, last = max(0, size - (last or 0)), None
    end = size if last is None else min(size, last + 1)
    if first >= size:
        raise ValueError(f"byte {first} of {size}")
    return (first, end) if first < end else None
