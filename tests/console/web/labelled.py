"""Labels as they lie on the topic."""

from collections.abc import Iterator
from contextlib import closing

from schemas.labels import LabelEnvelope
from schemas.topics import Topics
from undertone.messaging.clients import reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings


def on_the_topic(kafka: KafkaSettings, topics: Topics) -> Iterator[tuple[bytes, LabelEnvelope]]:
    """Their keys and what they say."""
    with closing(reader(kafka, auto_offset_reset="earliest")) as consumer:
        for record in read_to_end(kafka, consumer, partitions_of(consumer, topics.emotion_labels.name)):
            yield record.key, LabelEnvelope.model_validate_json(record.value)
