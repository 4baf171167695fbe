"""A call leaves the dataset, its snapshots, and what this machine has made of it; models it cannot leave are named."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from kafka.errors import KafkaError
from pydantic import TypeAdapter, ValidationError

from schemas.audio import CallId
from schemas.errors import UserError
from schemas.topics import Topics
from trainer.collection import reports, snapshots
from trainer.collection.dataset import Dataset
from trainer.data.cache import forget_file
from undertone.messaging.clients import admin, idempotent_producer
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import require_topics
from undertone.storage.store import StoreAway

_SEND_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Erased:
    """What was deleted: labels, snapshots that had them, cached features; and the models that still know the call.

    reports: files of runs that were rewritten without it.
    """

    labels: int
    snapshots: int
    features: int
    reports: int
    models: tuple[str, ...]


def erase(dataset: Dataset, key: str, out: Path | None = None) -> Erased:
    """Delete a call or a stream from a dataset. It may be done again, also where it was cut short.

    Args:
        out: the trainer's folder, whose runs may have reports of the call; that beside the dataset is looked at anyway.

    Raises:
        StoreAway: the store does not answer.
        UserError: something of it cannot be deleted.
    """
    # From here on whoever writes of the call takes it back, so what is found below is all there is.
    dataset.mark(key)
    entries, unfinished = dataset.find(key)
    copy = snapshots.copy_of(dataset)
    places = [dataset, copy] if copy else [dataset]
    # A call of which there was never a label is in no snapshot: most calls are like that.
    known = [snapshots.who_knows(place, key) for place in places] if entries else [(0, [])]
    # Noted before the snapshots lose the call: afterwards nothing tells which models have heard it.
    models = dataset.mark(key, [model for _, of_place in known for model in of_place])
    features = sum(forget_file(audio) for audio in dataset.audio_of(key))
    for place in places if entries else ():
        snapshots.erase(place, key)
    told = reports.erase(reports.folders(dataset, out), key) if entries else 0
    labels = dataset.erase(key, entries, unfinished)
    if copy:
        copy.erase(key)
    return Erased(labels, known[0][0], features, told, tuple(models))


def forget_labels(settings: KafkaSettings, call_id: str, place: str | None, out: Path | None = None) -> Erased | None:
    """Call a call's labels back: a tombstone for all collectors, and at once what lies in the dataset at `place`.

    Args:
        out: as `erase` takes it.

    Raises:
        UserError: no call can have this id, Kafka does not take the tombstone, or there is no dataset.
    """
    try:
        TypeAdapter(CallId).validate_python(call_id)
    except ValidationError:
        raise UserError(f"--call-id {call_id[:140]!r}: no call can have this id") from None
    dataset = Dataset.open(place) if place else None
    topic = Topics(settings.topic_prefix).emotion_labels
    try:
        if dataset:
            dataset.id()
        with closing(admin(settings)) as client:
            require_topics(client, topic)
        with closing(idempotent_producer(settings)) as producer:
            producer.send(topic.name, key=call_id.encode(), value=None).get(timeout=_SEND_TIMEOUT_S)
        return erase(dataset, call_id, out) if dataset else None
    except KafkaError as error:
        raise UserError(f"Kafka did not take the tombstone ({error}): the labels are not forgotten yet") from None
    except StoreAway as error:
        raise UserError(f"{error}: the labels are not forgotten yet; come again") from None
