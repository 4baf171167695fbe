"""Reads the changelog, `worker-state`: the last state of every open stream of some partitions."""

from collections.abc import Callable
from contextlib import closing, suppress

from kafka import TopicPartition

from undertone.inference.records import OpenRecord, read_record
from undertone.messaging.clients import reader
from undertone.messaging.reading import read_to_end
from undertone.messaging.settings import KafkaSettings

# The changelog mostly ends in a transaction's marker and no record: there is nothing that a fetch should wait for.
_FETCH_WAIT_MS = 100

# stream -> partition, state
States = dict[str, tuple[int, bytes]]


def read_states(settings: KafkaSettings, topic: str, partitions: list[int], stopping: Callable[[], bool]) -> States:
    """The newest state of each stream of `partitions`.

    Call it when no transaction of an earlier owner can still be decided (its offsets have been fetched).

    Raises:
        UnfinishedRead: `stopping()` became true before all was read.
    """
    wanted = [TopicPartition(topic, partition) for partition in partitions]
    states: States = {}
    with closing(reader(settings, auto_offset_reset="earliest", fetch_max_wait_ms=_FETCH_WAIT_MS)) as changelog:
        for record in read_to_end(settings, changelog, wanted, stopping):
            stream = (record.key or b"").decode(errors="replace")
            if record.value is None:
                states.pop(stream, None)
            else:
                states[stream] = record.partition, record.value
    return states


def model_versions(states: States) -> set[str]:
    """The models that the streams among `states` go on with, those that are closed for being idle among them."""
    versions: set[str] = set()
    for _, value in states.values():
        with suppress(ValueError):  # `restore` says so
            record = read_record(value)
            going_on = record if isinstance(record, OpenRecord) else record.idle
            if going_on:
                versions.add(going_on.version)
    return versions
