"""A collector that keeps what is there now, and what it could not use."""

from contextlib import closing
from pathlib import Path

from kafka.consumer.fetcher import ConsumerRecord

from schemas.topics import Topics
from trainer.collection.dataset import Dataset
from trainer.collection.entry import Entry
from trainer.collection.metrics import CollectorMetrics
from trainer.collection.service import CollectorService
from trainer.collection.settings import TrainerSettings
from undertone.messaging.clients import reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings

PROGRAM = ("-c", "from undertone.cli.main import main; main()", "trainer", "collect")


def collect(settings: KafkaSettings, folder: Path, how: TrainerSettings | None = None) -> list[Entry]:
    """Collect all that is there now. Returns the dataset's entries."""
    dataset = Dataset.open(str(folder))
    service = CollectorService(settings, how or TrainerSettings(), dataset, CollectorMetrics())
    assert service.run(lambda: None, until_end=True)
    return list(dataset.entries())


def letters(settings: KafkaSettings, topics: Topics) -> list[ConsumerRecord]:
    """The dead letters that there are."""
    with closing(reader(settings)) as client:
        return list(read_to_end(settings, client, partitions_of(client, topics.dead_letters.name)))
