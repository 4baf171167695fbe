"""Kafka's disks, as a real broker tells of them."""

from undertone.messaging.settings import KafkaSettings
from worker.disk import KafkaDisk
from worker.metrics import WorkerMetrics


def sizes(metrics: WorkerMetrics, name: str) -> list[float]:
    return [it.value for metric in metrics.registry.collect() if metric.name == name for it in metric.samples]


def test_a_broker_says_how_full_its_disk_is(kafka_settings: KafkaSettings) -> None:
    metrics = WorkerMetrics()
    disk = KafkaDisk(kafka_settings, "any-topic", metrics)
    disk.close()
    disk.look()
    (free,) = sizes(metrics, "undertone_kafka_disk_free_bytes")
    (size,) = sizes(metrics, "undertone_kafka_disk_size_bytes")
    assert 0 < free < size


def test_without_an_answer_nothing_is_told() -> None:
    metrics = WorkerMetrics()
    metrics.tell_disks({("1", "/var/lib/kafka"): (1, 2)})
    disk = KafkaDisk(KafkaSettings(bootstrap_servers="127.0.0.1:9", connect_timeout_s=0.5), "any-topic", metrics)
    disk.close()
    disk.look()
    assert sizes(metrics, "undertone_kafka_disk_free_bytes") == [], "an old number would look like a new one"
