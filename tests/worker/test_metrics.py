"""What is counted of a batch."""

from kafka.consumer.fetcher import ConsumerRecord

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
