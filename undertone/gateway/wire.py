"""What every wire is to the service that runs it."""

from collections.abc import Callable
from typing import Protocol

from undertone.gateway.calls import Calls

# The wire's name and where it listens, as the ready line tells them: ("audiosocket", "127.0.0.1:9019").
Started = Callable[[str, str], None]


class Wire(Protocol):
    """One protocol by which calls come in.

    A wire opens streams at `calls`, feeds them and ends them; where one raises `Refused` it answers with its protocol's
    own error, tells `calls.refused`, and goes on with the others.
    """

    @property
    def name(self) -> str:
        """What metrics and the ready line call it."""

    async def run(self, calls: Calls, started: Started) -> None:
        """Serve until cancelled; say `started` for each listener once it takes connections."""
