"""Giving a bundle to running workers: only if it beats the model that they run."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from kafka.errors import KafkaError

from schemas.errors import UserError
from schemas.topics import Topics
from undertone.inference.bundle import Bundle, bundle_bytes
from undertone.inference.model import Model
from undertone.inference.trial import load_tried
from undertone.messaging.clients import idempotent_producer, reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings

_SEND_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a candidate may go out, and one line that says why."""

    publish: bool
    why: str


def running_model(settings: KafkaSettings) -> Model:
    """What workers run: the newest usable model of the `models` topic, else the one that ships.

    Raises:
        UserError: no Kafka, or no such topic.
    """
    with closing(reader(settings, auto_offset_reset="earliest")) as client:
        partitions = partitions_of(client, Topics(settings.topic_prefix).models.name)
        bundles = [record.value for record in read_to_end(settings, client, partitions) if record.value is not None]
    for bundle in reversed(bundles):
        try:
            return load_tried(bundle)
        except UserError:
            continue  # workers refuse it too and say so in dead-letters; they go on with the one before
    return Model.load()


def decide(candidate: Bundle, uar: float, running: Model, evaluate: Callable[[Model], float]) -> Decision:
    """Compare the new model with the running one on the speakers that the new one was not trained on.

    The running one may have been: then the comparison favours it, which is the safe side.

    Args:
        uar: the new model's, on those speakers.
        evaluate: gives another model's UAR on the same files; called only where the two know the same emotions.
    """
    version = running.card.version
    if set(running.card.labels) != set(candidate.card.labels):
        return Decision(True, f"{version} knows other emotions, so the two cannot be compared")
    theirs = evaluate(running)
    return Decision(uar > theirs, f"UAR {uar:.3f} on the held-out speakers, {version} has {theirs:.3f}")


def send(bundle: Bundle, settings: KafkaSettings) -> int:
    """Put the bundle on the `models` topic; the offset it got, once every replica in sync has it.

    Raises:
        UserError: Kafka did not take it.
    """
    topic = Topics(settings.topic_prefix).models.name
    with closing(idempotent_producer(settings)) as producer:
        try:
            sent = producer.send(topic, key=bundle.card.version.encode(), value=bundle_bytes(bundle))
            return int(sent.get(timeout=_SEND_TIMEOUT_S).offset)
        except KafkaError as error:
            raise UserError(f"{topic}: Kafka did not take the bundle ({error}); see `undertone topics`") from None
