"""Clients that are closed by one thread alone, and do not report as failed what their closing breaks off.

`workarounds.mend()` has every client use it. Written for kafka-python 3.0.12.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka.net.compat import KafkaNetClient

# Who speaks of requests and connections that have failed.
_REPORTERS = (
    "kafka.cluster",
    "kafka.consumer.fetcher",
    "kafka.coordinator",
    "kafka.coordinator.heartbeat",
    "kafka.net.connection",
    "kafka.net.manager",
    "kafka.net.transport",
)


class OrderlyClient(KafkaNetClient):
    """What a consumer, a producer or an admin client holds of the network.

    It ends its own thread first.

    Symptom: now and then a log has a traceback, "Unhandled exception in task" with "Invalid file descriptor: -1", or
    "Bad file descriptor": once in 200 short consumers.

    Cause: `close` takes sockets out of the selector and closes them while the client's thread, which is told to end
    only afterwards, registers them, or writes to them.

    And it is quiet.

    Symptom: a service's log says that connections were lost, and that requests for metadata or for the group's
    coordinator failed, all as errors, when it has closed a client: a quarter of short consumers did.

    Cause: to the client a request that is broken off by its own closing is one that has failed.
    """

    _net: Any
    _manager: Any

    def close(self, node_id: Any = None) -> None:
        """Close the connection to a node, or all of them and the client."""
        if node_id is not None:
            super().close(node_id)
            return
        self._net.stop()
        with _nothing_is_reported():
            self._manager.close()
            # Who waited for answers hears that there are none while there is still a loop; after it "NetworkSelector
            # closed!" is all that they hear, and some report that.
            self._net.drain()
            super().close()


class _Closing(threading.local):
    """Whether this thread closes a client at this moment."""

    now = False


_closing = _Closing()


@contextmanager
def _nothing_is_reported() -> Iterator[None]:
    _closing.now = True
    try:
        yield
    finally:
        _closing.now = False


def _is_news(_: logging.LogRecord) -> bool:
    return not _closing.now


for _name in _REPORTERS:
    logging.getLogger(_name).addFilter(_is_news)
