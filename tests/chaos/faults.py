"""What is done to an installation: each fault begins, lasts, and is undone."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from tests.chaos.network import Cut
from tests.chaos.stage import GROUP, SESSION_S, SPARE, WORKERS, Stage

# Beyond the session and what the coordinator needs to notice.
_LONGER_THAN_SESSION_S = SESSION_S + 2.0
_SHORT_S = 2.0

# In the order in which faults that come together begin: a model cannot be published where no broker is left.
_PLACES = ("others", "gateway", "trainer", "workers", "network", "brokers")

Act = Callable[[Stage, random.Random], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind. Faults of different `place` may happen at once."""

    kind: str
    place: str  # one of _PLACES
    act: Act
    lasts_s: float = _SHORT_S


@contextmanager
def _worker_terminated(stage: Stage, choose: random.Random) -> Iterator[None]:
    """An orderly end, and a start right after it."""
    worker = stage.workers[choose.choice(WORKERS)]
    worker.stop()
    worker.start()
    yield


@contextmanager
def _worker_killed(stage: Stage, choose: random.Random) -> Iterator[None]:
    """kill -9, and a start right after it."""
    worker = stage.workers[choose.choice(WORKERS)]
    worker.kill()
    worker.start()
    yield


@contextmanager
def _worker_frozen(stage: Stage, choose: random.Random) -> Iterator[None]:
    """Stopped for longer than its session: it comes back as a zombie."""
    worker = stage.workers[choose.choice(WORKERS)]
    worker.freeze()
    try:
        yield
    finally:
        worker.thaw()


@contextmanager
def _worker_added(stage: Stage, _: random.Random) -> Iterator[None]:
    """One more under load, which takes partitions over from the others, and gives them back."""
    stage.away.discard(SPARE)
    stage.workers[SPARE].start()
    yield
    stage.away.add(SPARE)
    stage.workers[SPARE].stop()


@contextmanager
def _worker_removed(stage: Stage, choose: random.Random) -> Iterator[None]:
    """One goes for longer than its session, and the others take its partitions."""
    name = choose.choice(WORKERS)
    stage.away.add(name)
    stage.workers[name].stop()
    yield
    stage.away.discard(name)
    stage.workers[name].start()


def _broker(find: Callable[[Stage, random.Random], int], how: str) -> Act:
    @contextmanager
    def act(stage: Stage, choose: random.Random) -> Iterator[None]:
        node = stage.cluster.nodes[find(stage, choose)]
        node.stop() if how == "stop" or (how == "either" and choose.random() < 0.5) else node.kill()
        yield
        node.start(stage.cluster.nodes)

    return act


def _any(stage: Stage, choose: random.Random) -> int:
    return choose.randrange(len(stage.cluster.nodes))


def _of_the_group(stage: Stage, _: random.Random) -> int:
    return stage.cluster.nodes.index(stage.cluster.group_coordinator(GROUP))


def _of_transactions(stage: Stage, choose: random.Random) -> int:
    transactional_id = f"undertone-worker-{choose.choice(WORKERS)}"
    return stage.cluster.nodes.index(stage.cluster.transaction_coordinator(transactional_id))


@contextmanager
def _all_brokers_stopped(stage: Stage, _: random.Random) -> Iterator[None]:
    """No Kafka at all for a while."""
    stage.cluster.stop()
    yield
    stage.cluster.start()


@contextmanager
def _worker_cut_off(stage: Stage, choose: random.Random) -> Iterator[None]:
    """No way to any broker, for less or for longer than the session."""
    how: Cut = choose.choice(("silent", "reset"))
    with stage.links[choose.choice(WORKERS)].cut(how):
        yield


@contextmanager
def _latency(stage: Stage, choose: random.Random) -> Iterator[None]:
    """All that the workers send and get comes late."""
    with ExitStack() as slow:
        for name in WORKERS:
            slow.enter_context(stage.links[name].slow(delay_s=choose.uniform(0.05, 0.3)))
        yield


@contextmanager
def _producer_killed(stage: Stage, _: random.Random) -> Iterator[None]:
    """kill -9; it goes on from the last acknowledged sequence number of each stream."""
    if stage.producer.running:
        stage.producer.kill()
        stage.producer.start()
    yield


@contextmanager
def _model_published(stage: Stage, _: random.Random) -> Iterator[None]:
    """A new model in the middle of calls."""
    stage.publish_model()
    yield


@contextmanager
def _gateway_killed(stage: Stage, _: random.Random) -> Iterator[None]:
    """kill -9: its calls are gone, and what it had in memory of them."""
    stage.gateway.kill()
    stage.gateway.start()
    yield


@contextmanager
def _gateway_terminated(stage: Stage, _: random.Random) -> Iterator[None]:
    """An orderly end: calls that are going on come to theirs first."""
    stage.gateway.stop()
    stage.gateway.start()
    yield


@contextmanager
def _calls_cut(stage: Stage, _: random.Random) -> Iterator[None]:
    """Every connection to the gateway breaks; the calls come back and go on in their streams."""
    stage.callers.cut()
    yield


@contextmanager
def _trainer_killed(stage: Stage, choose: random.Random) -> Iterator[None]:
    """kill -9, twice, while it collects, trains or publishes."""
    for _ in range(2):
        stage.trainer.kill()
        stage.trainer.start()
        time.sleep(choose.uniform(0, 4))
    yield


@contextmanager
def _trainer_frozen(stage: Stage, _: random.Random) -> Iterator[None]:
    """Stopped for longer than its lease."""
    stage.trainer.freeze()
    try:
        yield
    finally:
        stage.trainer.thaw()


FAULTS = {
    fault.kind: fault
    for fault in (
        Fault("worker_sigterm", "workers", _worker_terminated),
        Fault("worker_sigkill", "workers", _worker_killed),
        Fault("worker_zombie", "workers", _worker_frozen, _LONGER_THAN_SESSION_S),
        Fault("worker_added", "workers", _worker_added, _LONGER_THAN_SESSION_S),
        Fault("worker_removed", "workers", _worker_removed, _LONGER_THAN_SESSION_S),
        Fault("broker_sigterm", "brokers", _broker(_any, "stop")),
        Fault("broker_sigkill", "brokers", _broker(_any, "kill")),
        Fault("group_coordinator_down", "brokers", _broker(_of_the_group, "either")),
        Fault("transaction_coordinator_down", "brokers", _broker(_of_transactions, "either")),
        Fault("all_brokers_down", "brokers", _all_brokers_stopped),
        Fault("worker_cut_off", "network", _worker_cut_off, _LONGER_THAN_SESSION_S),
        Fault("worker_cut_off_briefly", "network", _worker_cut_off),
        Fault("latency", "network", _latency, 6.0),
        Fault("producer_sigkill", "others", _producer_killed),
        Fault("model_published", "others", _model_published),
        Fault("gateway_sigkill", "gateway", _gateway_killed),
        Fault("gateway_sigterm", "gateway", _gateway_terminated),
        Fault("calls_cut", "gateway", _calls_cut),
        Fault("trainer_sigkill", "trainer", _trainer_killed),
        Fault("trainer_zombie", "trainer", _trainer_frozen, _LONGER_THAN_SESSION_S),
    )
}


def schedule(seed: int, kinds: list[str], rounds: int, mixed: int) -> list[list[Fault]]:
    """Steps in a seeded order: each kind alone `rounds` times, and `mixed` steps of one fault of each place at once."""
    choose = random.Random(seed)
    alone = [[FAULTS[kind]] for kind in kinds for _ in range(rounds)]
    places = [[FAULTS[kind] for kind in kinds if FAULTS[kind].place == place] for place in _PLACES]
    together = [[choose.choice(faults) for faults in places if faults] for _ in range(mixed)]
    steps = alone + together
    choose.shuffle(steps)
    return steps


def disturb(stage: Stage, step: list[Fault], choose: random.Random) -> None:
    """Begin the faults of one step one after the other, let them last, undo them in the reverse order."""
    with ExitStack() as undo:
        for fault in step:
            undo.enter_context(fault.act(stage, choose))
        time.sleep(max(fault.lasts_s for fault in step))
