"""Alerts to their webhooks: signed, and tried again until they are taken, also by a console that is started anew."""

import asyncio
import logging
import random
import time
from collections.abc import Callable

import httpx

from undertone.console.web.rules.store import Alert, Store
from undertone.webhooks.request import Refused, Requests, Unreachable
from undertone.webhooks.signature import Signer

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
_TIMEOUT_S = 10.0
_AT_ONCE = 8
_LOOK_S = 0.5
# 1 s, then 2, 4 and so on: 200 tries are some 16 hours.
_FIRST_S, _LONGEST_S, _TRIES = 1.0, 300.0, 200
_log = logging.getLogger(__name__)


class Sender:
    """Lives in the console's event loop. An alert that is refused holds up no other."""

    def __init__(
        self, store: Store, urls: dict[str, httpx.URL], signer: Signer, answered: Callable[[str], None]
    ) -> None:
        self._store = store
        self._urls = urls
        self._signer = signer
        self._answered = answered

    async def run(self) -> None:
        """Send what waits, until this is cancelled."""
        requests = Requests(_TIMEOUT_S)
        try:
            while True:
                due = await asyncio.to_thread(self._store.due, time.time() * 1000, _AT_ONCE)
                await asyncio.gather(*(self._send(requests, alert) for alert in due))
                if len(due) < _AT_ONCE:
                    await asyncio.sleep(_LOOK_S)
        finally:
            await requests.close()

    async def _send(self, requests: Requests, alert: Alert) -> None:
        url = self._urls.get(alert.rule)
        if url is None:
            await asyncio.to_thread(self._store.answered, alert.id, "none", "its rule has no webhook any more")
            return
        body = alert.body.encode()
        headers = {"content-type": CONTENT_TYPE, "idempotency-key": alert.id} | self._signer.headers(alert.id, body)
        try:
            status = await requests.post(url, body, headers)
        except Refused as error:
            self._answered(error.outcome)
            await self._again(alert, str(error), error.retry_after_s)
        except Unreachable as error:
            self._answered("unreachable")
            await self._again(alert, str(error), 0.0)
        else:
            self._answered(f"{status // 100}xx")
            await asyncio.to_thread(self._store.answered, alert.id, "sent", f"status {status}")

    async def _again(self, alert: Alert, why: str, retry_after_s: float) -> None:
        if alert.tries + 1 >= _TRIES:
            _log.error("alert %s of %s is given up after %d tries: %s", alert.id, alert.rule, _TRIES, why)
            await asyncio.to_thread(self._store.answered, alert.id, "given up", why)
            return
        pause_s = min(_FIRST_S * 2 ** min(alert.tries, 20), _LONGEST_S) * random.uniform(0.8, 1.2)  # noqa: S311
        pause_s = max(pause_s, retry_after_s)
        _log.warning("alert %s of %s: %s; trying again in %.0f s", alert.id, alert.rule, why, pause_s)
        next_ms = time.time() * 1000 + 1000 * pause_s
        await asyncio.to_thread(self._store.answered, alert.id, "waiting", why, next_ms)
