"""What a parser brings to be fuzzed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """`seeds` are valid messages, or whole conversations; `take` lets one through a parser as its wire would."""

    seeds: Sequence[bytes]
    take: Callable[[bytes], object]
