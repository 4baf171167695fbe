"""Which model a call's next utterance takes, where two are in use: by a hash of the call's id, the same everywhere.

So a call keeps its model whichever worker has it, after a crash and in a replay, and nobody has to remember it.
"""

import hashlib
from typing import NamedTuple

from undertone.inference.model import Model


class Route(NamedTuple):
    """The model of all calls, but for the share that a canary has."""

    model: Model
    canary: Model | None = None
    share: float = 0.0


def lot_of(stream: str) -> float:
    """The lot that a stream's call has drawn, 0 to below 1: those below a share are the ones that it means."""
    call_id, _, _ = stream.partition("/")
    return int.from_bytes(hashlib.blake2b(call_id.encode(), digest_size=4).digest(), "big") / 2**32
