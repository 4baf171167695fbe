"""Who somebody is to the console: what they may do, and the name that their labels carry."""

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """Each may do what those before it may."""

    WATCH = 1
    """See events."""
    LABEL = 2
    """Listen to calls, and say what they sound like."""
    OPERATE = 3
    """All that the console can do."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks. The name is what they logged in with: who has the token may call themselves anything."""

    role: Role
    name: str
