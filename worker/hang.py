"""Ends a worker whose loop hangs in a call that does not come back.

`/healthz` says so first. This is for where nobody asks it, as under Docker Compose or systemd: they start a worker
again that has ended, and only that.
"""

import logging
import os
import sys
import threading
import traceback

from undertone.observability.telemetry import Health

log = logging.getLogger(__name__)

_EVERY_S = 5.0
# Of the time after which `/healthz` says so: whoever does ask there may act first.
_PATIENCE = 2.0
# A worker that was stopped as a whole (SIGSTOP, a machine that slept) looks hung until its loop has gone round once.
_LOOKS = 2


class HangGuard:
    """Looks at the worker's health from a thread of its own, which needs no Kafka."""

    def __init__(self, health: Health, every_s: float = _EVERY_S) -> None:
        self._health = health
        self._every_s = every_s
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="hang", daemon=True).start()

    def close(self) -> None:
        """Stop looking."""
        self._closed.set()

    def _run(self) -> None:
        looks = 0
        while not self._closed.wait(self._every_s):
            looks = looks + 1 if self._health.still_s > _PATIENCE * self._health.limit_s else 0
            if looks == _LOOKS:
                log.critical(
                    "the loop has stood still for %.0f s: ending, so that a supervisor starts a new worker;"
                    " what was not committed is heard again. Where its threads stand:\n%s",
                    self._health.still_s,
                    _stacks(),
                )
                # Not `sys.exit`, which ends this thread alone; the loop's own does not look at a flag any more.
                os._exit(2)


def _stacks() -> str:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"{names.get(number, number)}:\n{''.join(traceback.format_stack(frame))}"
        for number, frame in sys._current_frames().items()
    )
