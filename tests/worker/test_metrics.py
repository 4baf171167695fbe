"""What is counted of a batch."""

import pytest
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import (
    CommitFailedError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerFencedError,
    RebalanceInProgressError,
)

from schemas.audio import RecordPlace
from tests.support.streams import customer, cut
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from worker.batch import Batch
from worker.metrics import WorkerMetrics


def test_chunks_that_the_engine_rejects_are_dead_letters_and_no_chunks() -> None:
    samples, rate = customer()
    chunks = cut(samples, rate, rate // 2, partition=0)
    ended = RecordPlace(topic="call-audio", partition=0, offset=99, timestamp_ms=0)
    late = chunks[3].model_copy(update={"sequence": 10_000, "place": ended})
    batch, metrics = Batch(chunks=[*chunks, late]), WorkerMetrics()
    for chunk in batch.chunks:
        assert chunk.place
        record = ConsumerRecord(
            **dict.fromkeys(ConsumerRecord._fields) | {"offset": chunk.place.offset, "timestamp": 0}
        )
        batch.records[0, chunk.place.offset] = record
    result = Engine(Model.load()).feed(batch.chunks)
    for chunk, rejected in result.rejected:
        batch.reject(chunk, rejected)
    metrics.count(batch, result)
    value = metrics.registry.get_sample_value
    assert value("undertone_chunks_total") == len(chunks)
    assert value("undertone_chunk_bytes_total") == sum(len(chunk.audio) for chunk in chunks)
    assert value("undertone_dead_letters_total", {"reason": "after_end"}) == 1
    assert value("undertone_batch_records_sum") == len(batch.records)
    assert value("undertone_audio_seconds_total", {"role": "customer"}) == pytest.approx(len(samples) / rate)
    assert value("undertone_watermark_delay_seconds", {"partition": "0"}) is None


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (CommitFailedError(), "fenced"),
        (ProducerFencedError(), "fenced"),
        (RebalanceInProgressError(), "rebalance"),
        (KafkaTimeoutError(), "timeout"),
        (MessageSizeTooLargeError(), "refused"),
        (RuntimeError(), "failed"),
    ],
    ids=lambda it: type(it).__name__ if isinstance(it, Exception) else it,
)
def test_an_aborted_transaction_has_a_cause(error: Exception, cause: str) -> None:
    metrics = WorkerMetrics()
    metrics.abort(error)
    value = metrics.registry.get_sample_value
    assert value("undertone_aborted_transactions_total", {"cause": cause}) == 1
    assert value("undertone_transactions_total", {"outcome": "aborted"}) == 1


def test_a_model_in_use_has_an_age_and_labels_that_begin_at_zero() -> None:
    metrics, card = WorkerMetrics(), Model.load().card
    metrics.model_in_use(card)
    value = metrics.registry.get_sample_value
    assert value("undertone_model_created_timestamp_seconds") == card.created.timestamp()
    for label in (*card.labels, "uncertain"):
        assert value("undertone_segments_total", {"label": label, "role": "customer"}) == 0
        assert value("undertone_segments_total", {"label": label, "role": "agent"}) is None, "none is analysed"
