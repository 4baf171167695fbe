"""Who has listened to which call, labelled what, and chosen which model: a line of the log for each."""

import logging
import time
from collections import OrderedDict

from starlette.requests import HTTPConnection

from schemas.labels import EmotionLabel

# Who listens asks again and again for the next seconds: that is one listening, until so long after it began.
_LISTENING_S = 600.0
_REMEMBERED = 10_000

_log = logging.getLogger(__name__)


class Audit:
    """Lines of the log named `undertone.console.web.audit`."""

    def __init__(self) -> None:
        self._listening: OrderedDict[tuple[str, str], float] = OrderedDict()

    def listens(self, request: HTTPConnection, stream: str) -> bool:
        """Note that somebody listens to a stream; whether that is a listening anew, which is what has a line."""
        who, now = _who(request), time.monotonic()
        if self._listening.get((who, stream), now) > now:
            return False
        self._listening[who, stream] = now + _LISTENING_S
        self._listening.move_to_end((who, stream))
        while len(self._listening) > _REMEMBERED:
            self._listening.popitem(last=False)
        _log.info("%s listens to %s", who, stream)
        return True

    def changes_model(self, request: HTTPConnection, done: str, champion: str, before: str) -> None:
        """Note that somebody has chosen another model for all workers."""
        _log.info("%s %s %s, before: %s", _who(request), done, champion, before)

    def labels(self, request: HTTPConnection, label: EmotionLabel) -> None:
        """Note that somebody has labelled something, or taken it back."""
        done = "takes back" if label.withdrawn else "says"
        where = f"{label.call_id}/{label.channel} at sample {label.start_sample}"
        _log.info("%s %s %s of %s", _who(request), done, label.emotion, where)

    def speaks(self, request: HTTPConnection, call_id: str) -> None:
        """Note that somebody speaks into the page."""
        _log.info("%s speaks into %s", _who(request), call_id)

    def forgets(self, request: HTTPConnection, call_id: str) -> None:
        """Note that somebody has had a call forgotten."""
        _log.info("%s has forgotten %s", _who(request), call_id)


def _who(request: HTTPConnection) -> str:
    person, client = request.user, request.client
    return f"{person.name!r} ({person.role.name.lower()}, {client.host if client else 'unknown address'})"
