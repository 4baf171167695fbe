"""What Kafka's clients wait for their sockets with. Written for kafka-python 3.0.12."""

import selectors
from typing import Any


class QuickSelector(selectors.DefaultSelector):
    """The system's own, which says in little time that a socket is not registered.

    A client registers its socket for each answer anew, and asks before whether it is. That it is not, the standard
    library says by an error that describes the socket, for which it asks the system for both of its addresses: 27 us,
    a dozen times for each transaction.
    """

    _fd_to_key: dict[int, selectors.SelectorKey]

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """How a socket is registered; KeyError where it is not."""
        number = fileobj.fileno()
        # A closed socket has no number any more: the standard library looks for the object itself.
        return self._fd_to_key[number] if number >= 0 else super().get_key(fileobj)
