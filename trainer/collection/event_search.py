"""Events that labels name, found in `emotion-events`."""

from collections.abc import Callable, Mapping, Sequence

from kafka import KafkaConsumer, TopicPartition
from kafka.partitioner.default import murmur2
from pydantic import ValidationError

from schemas.events import EventEnvelope
from undertone.messaging.reading import partitions_of, read_until

# People label what they have just heard: the newest records first, in steps that grow. A thousand calls write 250
# events a second into each of eight partitions: the first step is twenty seconds of them, the longest a quarter hour.
_FIRST_STEP, _LONGEST_STEP = 5_000, 200_000


def find_events(
    client: KafkaConsumer, topic: str, wanted: Mapping[str, str], stopping: Callable[[], bool]
) -> dict[str, EventEnvelope]:
    """Events by their id, those that are there.

    First the partitions are read where workers put these streams, and only then the others. An id that is nowhere costs
    a read of the whole topic: labels that say all that is needed are not looked up.

    Args:
        client: a reader that may be assigned anything.
        wanted: id of an event -> its stream.

    Raises:
        UnfinishedRead: `stopping()` became true.
    """
    if not wanted:
        return {}
    partitions = partitions_of(client, topic)
    likely = {partitions[(murmur2(stream.encode()) & 0x7FFFFFFF) % len(partitions)] for stream in wanted.values()}
    found: dict[str, EventEnvelope] = {}
    for some in (sorted(likely), sorted(set(partitions) - likely)):
        _search(client, some, wanted, found, stopping)
    return found


def _search(
    client: KafkaConsumer,
    partitions: Sequence[TopicPartition],
    wanted: Mapping[str, str],
    found: dict[str, EventEnvelope],
    stopping: Callable[[], bool],
) -> None:
    """Read backwards, step by step, until all is found or nothing is left."""
    if not partitions or wanted.keys() == found.keys():
        return
    client.assign(partitions)
    firsts, ends = client.beginning_offsets(partitions), client.end_offsets(partitions)
    keys = {stream.encode() for stream in wanted.values()}
    step = _FIRST_STEP
    while wanted.keys() != found.keys():
        left = {it: end for it, end in ends.items() if end > firsts[it]}
        if not left:
            return
        client.assign(list(left))
        starts = {it: max(firsts[it], end - step) for it, end in left.items()}
        for it, start in starts.items():
            client.seek(it, start)
        for record in read_until(client, left, stopping):
            if record.key in keys:
                _note(record.value, wanted, found)
        ends = starts
        step = min(2 * step, _LONGEST_STEP)


def _note(value: bytes | None, wanted: Mapping[str, str], found: dict[str, EventEnvelope]) -> None:
    try:
        event = EventEnvelope.model_validate_json(value or b"")
    except ValidationError:
        return  # another producer's; nobody labelled it, for its id cannot be known
    if event.id in wanted:
        found[event.id] = event
