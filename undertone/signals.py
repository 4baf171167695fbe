"""SIGTERM, Ctrl-C and other signals: what their handlers may do, and how a service is stopped by them."""

import queue
import signal
import threading
from collections.abc import Callable


def from_handler(call: Callable[[], object]) -> Callable[[], None]:
    """A function that may be called in a signal's handler: it has `call` done by a thread of its own.

    A handler interrupts the main thread anywhere, also where that holds a lock for a moment. `threading.Event.set`
    takes the lock that `Event.wait` takes: in a handler it can wait for ever for the thread that it has interrupted.
    `SimpleQueue.put` is made for handlers.
    """
    asked: queue.SimpleQueue[None] = queue.SimpleQueue()

    def work() -> None:
        while True:
            asked.get()
            call()

    threading.Thread(target=work, name="signals", daemon=True).start()
    return lambda: asked.put(None)


def stop_on_signals(stop: Callable[[], None]) -> None:
    """SIGTERM and Ctrl-C call `stop`, once; asked twice the process ends at once, which must lose nothing either."""
    ask = from_handler(stop)

    def handle(number: int, _: object) -> None:
        ask()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
