"""Reads the changelog, `worker-state`: the last state of every open stream of some partitions."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from undertone.inference.streams import OpenRecord, read_record
from undertone.messaging.clients import reader
from undertone.messaging.settings import KafkaSettings

_POLL_MS = 100

# stream -> partition, state
States = dict[str, tuple[int, bytes]]


def read_states(settings: KafkaSettings, topic: str, partitions: list[int], stopping: Callable[[], bool]) -> States:
    """The newest state of each stream of `partitions`; some of them only where `stopping()` became true.

    Call it when no transaction of an earlier owner can still be decided (its offsets have been fetched).
    """
    wanted = [TopicPartition(topic, partition) for partition in partitions]
    states: States = {}
    for record in _records(settings, wanted, stopping):
        stream = (record.key or b"").decode(errors="replace")
        if record.value is None:
            states.pop(stream, None)
        else:
            states[stream] = record.partition, record.value
    return states


def model_versions(states: States) -> set[str]:
    """The models that the open streams among `states` are being heard with."""
    versions: set[str] = set()
    for _, value in states.values():
        with suppress(ValueError):  # `restore` says so
            record = read_record(value)
            if isinstance(record, OpenRecord):
                versions.add(record.version)
    return versions


def _records(
    settings: KafkaSettings, wanted: list[TopicPartition], stopping: Callable[[], bool]
) -> Iterator[ConsumerRecord]:
    ends = _ends(settings, wanted)
    # An end is often a transaction's marker and no record: a short wait, for there is nothing to wait for.
    with closing(reader(settings, auto_offset_reset="earliest", fetch_max_wait_ms=_POLL_MS)) as changelog:
        changelog.assign(wanted)
        changelog.seek_to_beginning()
        while not stopping():
            positions = {partition: changelog.position(partition, timeout_ms=_POLL_MS) for partition in wanted}
            if all((positions[partition] or 0) >= ends[partition] for partition in wanted):
                return
            for records in changelog.poll(timeout_ms=_POLL_MS).values():
                yield from records


def _ends(settings: KafkaSettings, wanted: list[TopicPartition]) -> Mapping[TopicPartition, int]:
    # The end that a read_uncommitted reader sees. A transaction can be decided before its marker has reached this
    # partition: until then it lies behind the end that a read_committed reader is told, and would be missed.
    with closing(reader(settings, isolation_level="read_uncommitted")) as ends:
        return ends.end_offsets(wanted)
