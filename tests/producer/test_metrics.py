"""The producer's metrics."""

from producer.metrics import ProducerMetrics


def test_they_have_one_prefix() -> None:
    names = [metric.name for metric in ProducerMetrics().registry.collect()]
    assert names
    assert [name for name in names if not name.startswith("undertone_producer_")] == []
