"""The shadow: a challenger hears a share of the calls beside the champion, and nothing comes of it but metrics.

It has an engine of its own, which is fed after the batch has been committed, writes nothing and saves nothing. It is
the first to go under load: what it costs, calls must not notice.
"""

import logging
import time
from collections.abc import Collection, Mapping
from typing import Any

from schemas.events import WrittenEvent
from undertone.inference.engine import Engine
from undertone.inference.intake import FeedResult
from undertone.inference.model import Model
from undertone.inference.routing import lot_of
from worker.batch import Batch
from worker.shadow_metrics import ShadowMetrics

log = logging.getLogger(__name__)

# A worker whose newest audio is older than this has no time to spare. Batches alone make it 0.2 s.
BEHIND_S = 2.0
# Of one core: a tenth of the calls costs a tenth of the engine, some hundredths of a worker that keeps up.
MOST_OF_A_CORE = 0.2
# As long as it stays away then; a worker that catches up takes seconds.
AWAY_S = 30.0
_ACCOUNT_S = 10.0


class Shadow:
    """Hears the calls whose lots lie next to the canary's: those have the challenger's word already."""

    def __init__(self, share: float, metrics: ShadowMetrics, batch_records: int, **options: Any) -> None:
        """`options` are the engine's."""
        self._share, self._metrics, self._batch_records, self._options = share, metrics, batch_records, options
        self._engine: Engine | None = None
        self._from = 0.0
        self._partitions: set[int] = set()
        self._not_before = 0.0
        self._account = time.monotonic(), 0.0  # since when, and the seconds spent since
        self._failed: Model | None = None

    def follow(self, challenger: Model | None, canary_share: float) -> None:
        """Take this challenger from now on, beside a canary of so many calls."""
        self._from = canary_share
        if not self._share or challenger is self._failed:
            challenger = None
        if challenger is (self._engine.model if self._engine else None):
            return
        self._begin(challenger)
        self._metrics.begin(challenger.card if challenger else None)

    def hear(self, batch: Batch, result: FeedResult, closing: Mapping[int, int], assigned: Collection[int]) -> None:
        """Hear what has been committed.

        Args:
            result: what the champion made of it.
            closing: partitions whose idle streams were closed, and their event times.
            assigned: this worker's partitions.
        """
        if not self._engine or time.monotonic() < self._not_before:
            return
        if cause := self._overload(batch):
            self._give_up(cause)
            return
        began = time.thread_time()
        try:
            self._compare(result, self._feed(self._engine, batch, closing, assigned))
        except Exception as error:
            # Whatever a challenger's model brings about is a finding about it, and no reason to stop the champion.
            log.error("the challenger %s fails: %s", self._engine.model.card.version, error, exc_info=error)
            self._failed = self._engine.model
            self._give_up("failed")
            self._engine = None
            return
        self._spend(time.thread_time() - began)
        self._metrics.streams.set(self._engine.open_streams)

    def _feed(
        self, engine: Engine, batch: Batch, closing: Mapping[int, int], assigned: Collection[int]
    ) -> list[WrittenEvent]:
        for partition in self._partitions - set(assigned):
            engine.drop(partition)
        self._partitions = set(assigned)
        chunks = [chunk for chunk in batch.chunks if self._has(chunk.call_id)]
        heard = engine.feed(chunks).written if chunks else []
        for partition, now_ms in closing.items():
            heard += engine.close_idle(partition, now_ms).written
        engine.forget_changes()
        self._metrics.chunks.inc(len(chunks))
        return heard

    def _compare(self, result: FeedResult, heard: list[WrittenEvent]) -> None:
        """Utterances that both have cut alike, which is all of them where gate and segments are the same."""
        said = {_utterance(event): event.data["label"] for event in heard if event.kind == "segment"}
        for event in result.written:
            if event.kind == "segment" and self._has(event.data["call_id"]):
                self._metrics.compare(event.data["label"], said.pop(_utterance(event), None))
        for label in said.values():
            self._metrics.compare(None, label)

    def _has(self, call_id: str) -> bool:
        return self._from <= lot_of(call_id) < self._from + self._share

    def _overload(self, batch: Batch) -> str:
        """Why there is no time for a shadow now; empty where there is."""
        if len(batch.records) >= self._batch_records:
            return "behind"
        newest = max((record.timestamp for record in batch.records.values()), default=None)
        if newest is not None and time.time() - newest / 1000 > BEHIND_S:
            return "behind"
        since, spent = self._account
        return "cost" if spent > MOST_OF_A_CORE * max(time.monotonic() - since, _ACCOUNT_S) else ""

    def _spend(self, seconds: float) -> None:
        since, spent = self._account
        now = time.monotonic()
        self._account = (now, seconds) if now - since > _ACCOUNT_S else (since, spent + seconds)
        self._metrics.seconds.inc(seconds)

    def _give_up(self, cause: str) -> None:
        """Forget all calls: of one that it has not heard whole it would say something else than it would have."""
        self._metrics.dropped.labels(cause).inc()
        self._not_before = time.monotonic() + AWAY_S
        self._begin(self._engine.model if self._engine else None)

    def _begin(self, challenger: Model | None) -> None:
        self._engine = Engine(challenger, **self._options) if challenger else None
        self._partitions, self._account = set(), (time.monotonic(), 0.0)
        self._metrics.streams.set(0)


def _utterance(event: WrittenEvent) -> tuple[str, int, int]:
    return event.subject, event.data["start_sample"], event.data["end_sample"]
