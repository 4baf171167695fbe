"""HTTP as uvicorn speaks it, with an end to how long a request may take to come."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# From the connection, or a request's first byte, to the end of its headers.
REQUEST_S = 10.0


class Protocol(H11Protocol):
    """Closes a connection whose request does not come to the end of its headers.

    uvicorn waits for ever, and a thousand such connections would let nobody else in.
    """

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has connected."""
        super().connection_made(transport)
        self._begin()

    def data_received(self, data: bytes) -> None:
        """Some of a request has come."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._end()
        elif self._late is None:
            self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._end()
        super().connection_lost(exc)

    def _begin(self) -> None:
        self._late = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _end(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
