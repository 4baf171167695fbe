"""Watches the worker from a thread of its own: no partition, and no session, stands still in silence.

It asks Kafka itself where the partitions end, with a reader that is in no group: what the loop's own consumer says of
them is as old as its last fetch, and that is the very thing that may have stopped.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError

from schemas.errors import UserError
from undertone.messaging.reading import ends_that_answer, peeking_reader, timestamps_at
from undertone.messaging.settings import KafkaSettings
from undertone.observability.telemetry import Health
from worker.progress import FRESH_S, Progress

log = logging.getLogger(__name__)

_EVERY_S = 5.0
_ANSWER_MS = 5000
# Where not all partitions have a leader, each is asked for itself.
_ONE_ANSWER_MS, _ANSWERS_S = 1000, 10.0
# For the age of what waits.
_AGES_S = 1.0


class Watch:
    """Keeps the gauges fresh, says what the worker is not ready for, and calls `give_up` when it stays so."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        progress: Progress,
        health: Health,
        stall_timeout_s: float,
        stall_exit_s: float,
        give_up: Callable[[str], None],
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._progress = progress
        self._health = health
        self._stall_timeout_s = stall_timeout_s
        self._stall_exit_s = stall_exit_s
        self._give_up = give_up
        self._well = time.monotonic()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    @property
    def stuck(self) -> dict[int, float]:
        """The partitions that stand still although Kafka answers, and for how many seconds."""
        # New clients would begin a restore anew, again and again where it takes longer than the time limit.
        if self._progress.silence_s > FRESH_S or self._progress.is_restoring:
            return {}
        return self._progress.stalled(self._stall_timeout_s)

    @property
    def obstacle(self) -> str:
        """What keeps a worker that has its partitions from being ready; empty where nothing does."""
        silence_s = self._progress.silence_s
        if silence_s > FRESH_S:
            return f"Kafka, which has not answered for {silence_s:.0f} s"
        return ", ".join(f"partition {number}, still for {seconds:.0f} s" for number, seconds in self.stuck.items())

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()
        self._thread.join(2 * _ANSWER_MS / 1000)

    def _run(self) -> None:
        self._closed.wait(_EVERY_S)  # a start is short of CPU, and there is nothing to see yet
        while not self._closed.is_set():
            try:
                with closing(peeking_reader(self._kafka)) as client:
                    while not self._closed.is_set():
                        self._look(client)
                        self._closed.wait(_EVERY_S)
            except (KafkaError, UserError) as error:
                log.debug("the watch asks again: %s", error)
                self._judge()
                self._closed.wait(_EVERY_S)

    def _look(self, client: KafkaConsumer) -> None:
        try:
            ends = self._ends(client)
            self._progress.answered(ends, self._oldest_ms(client, ends))
        finally:
            self._judge()

    def _oldest_ms(self, client: KafkaConsumer, ends: Mapping[int, int]) -> dict[int, int]:
        behind = {TopicPartition(self._topic, number): at for number, at in self._progress.behind(ends).items()}
        return {partition.partition: stamp for partition, stamp in timestamps_at(client, behind, _AGES_S).items()}

    def _ends(self, client: KafkaConsumer) -> dict[int, int]:
        """Where the partitions end: of ours those that answer, of another one where none is ours.

        Raises:
            KafkaError: none answers.
        """
        wanted = [TopicPartition(self._topic, number) for number in self._progress.partitions() or [0]]
        ends = ends_that_answer(client, wanted, _ANSWER_MS, _ONE_ANSWER_MS, _ANSWERS_S)
        if not ends:
            raise KafkaTimeoutError("no partition's leader says where it ends")
        return {partition.partition: end for partition, end in ends.items()}

    def _judge(self) -> None:
        """Tell the gauges and `/readyz`; give up where the worker has not been ready for too long."""
        self._progress.tell()
        obstacle = self.obstacle
        if obstacle:
            self._health.ready, self._health.waits_for = False, obstacle
        # While Kafka is away, to wait is right; and so it is while state is read, however much of it there is.
        if self._health.ready or self._progress.silence_s > FRESH_S or self._progress.is_restoring:
            self._well = time.monotonic()
        elif time.monotonic() - self._well > self._stall_exit_s:
            self._give_up(
                f"not ready for {self._stall_exit_s:.0f} s though Kafka answers (waiting for"
                f" {self._health.waits_for}): ending, so that a supervisor starts a new worker"
            )
