"""Restores partitions in a thread of its own.

The loop goes on meanwhile with the partitions that it has, each new one joins them when its state is here and the
models that its utterances had begun with, and where Kafka is away it is the thread that waits.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Set
from contextlib import closing, suppress
from queue import Empty, SimpleQueue

from kafka.errors import KafkaError

from schemas.errors import UserError
from schemas.topics import Topics
from undertone.inference.model import Model
from undertone.messaging.settings import KafkaSettings
from worker.changelog import ChangelogReader, Restore
from worker.metrics import WorkerMetrics
from worker.timer import Timer

log = logging.getLogger(__name__)

_PAUSE_S = 1.0
# Partitions whose broker does not answer; asking for one again may hold up the others by a second.
_RETRY_S = 5.0
_CLOSE_S = 2.0


class Restorer:
    """The thread, and the queues between it and the loop. It calls `progressed` whenever it has read on."""

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Topics,
        metrics: WorkerMetrics,
        progressed: Callable[[], None],
        find_model: Callable[[str], Model | None],
        loaded: Callable[[], Set[str]],
    ) -> None:
        """`find_model` looks a version up, which may take as long as Kafka does; `loaded` are the engine's own."""
        self._settings = settings
        self._topics = topics
        self._metrics = metrics
        self._progressed = progressed
        self._find_model = find_model
        self._loaded = loaded
        self._requests: SimpleQueue[Restore | None] = SimpleQueue()
        self._finished: SimpleQueue[Restore | None] = SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="restore", daemon=True)
        self._thread.start()

    def request(self, partition: int, replay_models: Set[str] = frozenset()) -> Restore:
        """Begin to restore a partition whose committed offset is known: all state that counts is written by then.

        `replay_models` are looked up like the models of its streams.
        What is returned also comes out of `finished`, unless its `cancelled` is set.
        """
        restore = Restore(partition, replay_models=replay_models)
        self._requests.put(restore)
        return restore

    def finished(self) -> list[Restore]:
        """What has been read to its end since the last call. Nothing of any other restore may be used."""
        return [restore for restore in _drain(self._finished) if restore and not restore.cancelled]

    def close(self) -> None:
        """Give up what is not finished."""
        self._closed.set()
        self._requests.put(None)
        self._thread.join(_CLOSE_S)  # no longer: it may be looking for a broker that is away, and it is a daemon

    def _run(self) -> None:
        waiting: list[Restore] = []
        while not self._closed.is_set():
            if not waiting and (request := self._requests.get()):
                waiting.append(request)
            try:
                with closing(ChangelogReader(self._settings, self._topics)) as changelog:
                    self._read(changelog, waiting)
            except (KafkaError, UserError) as error:
                self._metrics.error("restore", error)
                log.warning("the changelog cannot be read, it is tried again: %s", error)
            if waiting:
                self._closed.wait(_PAUSE_S)

    def _finish(self, restore: Restore) -> None:
        """Hand a restore over that has been read to its end, once its models are here."""
        if restore.model_versions <= self._loaded():
            self._finished.put(restore)
        else:  # in a thread of its own: other partitions need not wait for `models`
            threading.Thread(target=self._find_models, args=(restore,), name="models", daemon=True).start()

    def _find_models(self, restore: Restore) -> None:
        """Load the models in which streams stand in the middle of an utterance; they finish it with them.

        As long as Kafka does not say which there are, it is asked: without its model an utterance would begin anew.
        """
        while not (restore.cancelled or self._closed.is_set()):
            try:
                for version in restore.model_versions - self._loaded() - restore.models.keys():
                    restore.models[version] = self._find_model(version)
                    if not restore.models[version]:
                        log.warning("model %s is gone: utterances that it had begun begin again", version)
            except (KafkaError, UserError) as error:
                self._metrics.error("restore", error)
                log.warning("the models of partition %d cannot be looked up now: %s", restore.partition, error)
                self._closed.wait(_PAUSE_S)
            else:
                self._finished.put(restore)
                return

    def _read(self, changelog: ChangelogReader, waiting: list[Restore]) -> None:
        """Finish what can be finished, requests that come meanwhile included; the others stay in `waiting`."""
        new, retry = list(waiting), Timer(_RETRY_S)
        while not self._closed.is_set():
            for restore in new:
                if not changelog.begin(restore) and restore.homeless:
                    self._progressed()  # it waits for people; joining the group again would not help
            if not changelog.busy:
                return
            left = changelog.records_left
            for restore in changelog.poll():
                waiting.remove(restore)
                self._finish(restore)
            if changelog.records_left < left:
                self._progressed()
            self._metrics.restore_records_left.set(changelog.records_left)
            waiting[:] = [restore for restore in waiting if not restore.cancelled]
            new = [request for request in _drain(self._requests) if request]
            waiting += new
            if retry.due():
                new = [restore for restore in waiting if restore not in changelog]


def _drain(queue: "SimpleQueue[Restore | None]") -> Iterator[Restore | None]:
    with suppress(Empty):
        while True:
            yield queue.get_nowait()
