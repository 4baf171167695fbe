"""A webhook: each event is posted at least once, with its id for who must not take it twice.

The group keeps the positions. Within a partition events come in order: one that is refused is tried again, and holds up
those behind it until it is taken or goes to `dead-letters`. Partitions do not hold up each other's requests.
"""

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential, wait_random

from schemas.dead_letters import Reason, Rejected
from undertone.sinks.events import StoredEvent
from undertone.sinks.metrics import SinkMetrics
from undertone.sinks.target import Batch, DeadLetters, Limits, Source, Written
from undertone.webhooks.request import Refused, Requests, Unreachable, checked_url
from undertone.webhooks.signature import Signer

log = logging.getLogger(__name__)

_ONE = "application/cloudevents+json; charset=UTF-8"
_MANY = "application/cloudevents-batch+json; charset=UTF-8"
# 0.5 s, then 1, 2, 4 and so on: eight tries take a minute.
_BACKOFF = wait_exponential(multiplier=0.5, max=30) + wait_random(0, 0.5)
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """Where to, and how. `name` is what the group is called, which keeps the positions."""

    url: str
    batch: int = 1
    tries: int = 8
    timeout_s: float = 10.0
    allow_http: bool = False
    name: str | None = None


class Stopping(Exception):
    """The sink is to stop, and does not wait for another try."""


class Webhook:
    """One client for all requests."""

    name = "Webhook"
    keeps_positions = False
    drops_repeats = False

    def __init__(self, options: WebhookOptions, signer: Signer, metrics: SinkMetrics) -> None:
        self._options = options
        self._url = checked_url(options.url, allow_http=options.allow_http, name="--url", allow="--allow-http")
        self._signer = signer
        self._metrics = metrics
        # A batch of our own is what the next commit covers, so it is short; one of the webhook's waits for company.
        self.limits = Limits(max(100, options.batch), 1024 * 1024, 0.0 if options.batch == 1 else 1.0)
        self._runner: asyncio.Runner | None = None
        self._requests: Requests | None = None

    def open(self) -> str:
        """The group's name: that of the options, or one that follows from the address without what is secret in it."""
        if self._options.name:
            return self._options.name
        place = f"{self._url.scheme}://{self._url.host}:{self._url.port}{self._url.path}"
        return hashlib.sha256(place.encode()).hexdigest()[:16]

    def claim(self, source: Source, partitions: Collection[int]) -> dict[int, int | None]:
        """The group has the positions."""
        return dict.fromkeys(partitions)

    def write(self, source: Source, batch: Batch, stopping: Callable[[], bool]) -> Written:
        """Post what there is; where it is to stop, no longer than the tries under way."""
        self._runner = self._runner or asyncio.Runner()
        return self._runner.run(self._write(batch, stopping))

    def close(self) -> None:
        """End the connections."""
        if self._runner:
            if self._requests:
                self._runner.run(self._requests.close())
            self._runner.close()
        self._runner = self._requests = None

    async def _write(self, batch: Batch, stopping: Callable[[], bool]) -> Written:
        self._requests = self._requests or Requests(self._options.timeout_s)
        of_partition: dict[int, list[StoredEvent]] = defaultdict(list)
        for event in batch.events:
            of_partition[event.record.partition].append(event)
        rejected: DeadLetters = []
        posting = (self._post_all(events, rejected, stopping) for events in of_partition.values())
        places = await asyncio.gather(*posting)
        reached = {number: place for number, place in zip(of_partition, places, strict=True) if place is not None}
        return Written(batch.positions | reached, rejected=rejected)

    async def _post_all(
        self, events: Sequence[StoredEvent], rejected: DeadLetters, stopping: Callable[[], bool]
    ) -> int | None:
        """Post a partition's events in order. Returns the offset of the first that was left, None where none was."""
        left = iter(events)
        while together := list(islice(left, self._options.batch)):
            try:
                await self._post(together, stopping)
            except Refused as error:
                why = Rejected(Reason.NOT_DELIVERED, f"given up after {self._options.tries} tries, the last: {error}")
                rejected += [(event.record, why) for event in together]
                log.error("%d events go to dead-letters, from %s on: %s", len(together), together[0].envelope.id, why)
            except Stopping:
                return together[0].record.offset
        return None

    async def _post(self, events: Sequence[StoredEvent], stopping: Callable[[], bool]) -> None:
        """Post one request until it is taken.

        Raises:
            Refused: it was, for as many times as there are tries.
            Stopping: the sink is to stop before the next try.
        """
        identity, content_type, body = _content(events, many=self._options.batch > 1)
        refusals = 0

        def gives_up(state: RetryCallState) -> bool:
            nonlocal refusals
            refusals += isinstance(_error(state), Refused)
            return refusals >= self._options.tries

        async def sleep(seconds: float) -> None:
            for _ in range(max(1, round(seconds / _LOOK_S))):
                if stopping():
                    raise Stopping
                await asyncio.sleep(_LOOK_S)

        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type((Refused, Unreachable)),
            stop=gives_up,
            wait=_wait,
            sleep=sleep,
            before_sleep=_log_failure,
            reraise=True,
        ):
            with attempt:
                headers = {"content-type": content_type, "idempotency-key": identity}
                await self._request(body, headers | self._signer.headers(identity, body))

    async def _request(self, body: bytes, headers: Mapping[str, str]) -> None:
        if not self._requests:
            raise Unreachable("closed")
        try:
            status = await self._requests.post(self._url, body, headers)
        except Refused as error:
            self._metrics.requests.labels(error.outcome).inc()
            raise
        except Unreachable:
            self._metrics.requests.labels("unreachable").inc()
            raise
        self._metrics.requests.labels(f"{status // 100}xx").inc()


def _content(events: Sequence[StoredEvent], *, many: bool) -> tuple[str, str, bytes]:
    """Id, content type and body: events as they lie on Kafka."""
    values = [event.record.value for event in events]
    if not many:
        return events[0].envelope.id, _ONE, values[0]
    ids = " ".join(event.envelope.id for event in events)
    return hashlib.sha256(ids.encode()).hexdigest()[:32], _MANY, b"[" + b",".join(values) + b"]"


def _wait(state: RetryCallState) -> float:
    error = _error(state)
    asked_s = error.retry_after_s if isinstance(error, Refused) else 0.0
    return max(_BACKOFF(state), asked_s)


def _error(state: RetryCallState) -> Any:
    return state.outcome.exception() if state.outcome else None


def _log_failure(state: RetryCallState) -> None:
    log.warning("webhook: %s; trying again in %.1f s", _error(state), state.upcoming_sleep)
