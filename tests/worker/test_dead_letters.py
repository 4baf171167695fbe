"""Dead letters carry the message as it came, whatever Kafka lets others write; poison pills are forgotten in time."""

from typing import Any

import pytest
from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from schemas.audio import RecordPlace
from schemas.dead_letters import Reason, Rejected
from tests.support.streams import customer, cut
from undertone.messaging.dead_letters import MAX_COPIED_BYTES, dead_letter
from worker.poison_pill import EngineFailure, PoisonPills

REJECTED = Rejected(Reason.EMPTY, "nothing in it")


def record(**fields: Any) -> ConsumerRecord:
    given = dict.fromkeys(ConsumerRecord._fields) | {"topic": "call-audio", "partition": 3, "offset": 7, "headers": []}
    return ConsumerRecord(**given | fields)


def test_a_letter_is_the_message_and_what_was_wrong() -> None:
    key, value, headers = dead_letter(
        record(key=b"k", value=b"v", headers=[("a", b"1"), ("b", None)]), REJECTED, "worker"
    )
    assert (key, value) == (b"k", b"v")
    assert headers[:2] == [("a", b"1"), ("b", b"")]
    told = dict(headers[2:])
    assert told["undertone_reason"] == b"empty"
    assert told["undertone_detail"] == b"nothing in it"
    assert (told["undertone_topic"], told["undertone_partition"], told["undertone_offset"]) == (
        b"call-audio",
        b"3",
        b"7",
    )


def test_a_message_without_key_and_value_is_a_letter_that_can_be_sent() -> None:
    assert dead_letter(record(), REJECTED, "worker")[:2] == (None, b"")
    assert dead_letter(record(key=b"k"), REJECTED, "worker")[:2] == (b"k", None)


@pytest.mark.parametrize("part", ["key", "value", "headers"])
def test_what_the_topic_could_not_take_is_left_where_it_lies(part: str) -> None:
    huge = bytes(MAX_COPIED_BYTES + 1)
    key, value, headers = dead_letter(
        record(**{part: [("h", huge)] if part == "headers" else huge}), REJECTED, "worker"
    )
    assert (key, value) == (None, b"")
    assert b"not copied: 1200" in dict(headers)["undertone_detail"]


def test_poison_pills_are_searched_for_among_suspects_until_they_are_behind() -> None:
    poison_pills, partition, other = PoisonPills(), TopicPartition("call-audio", 3), TopicPartition("call-audio", 4)
    chunks = cut(*customer(), 4000, partition=3)[:3]  # offsets 10, 11, 12
    assert not poison_pills.one_by_one([partition])
    assert poison_pills.add(EngineFailure(chunks))
    assert poison_pills.one_by_one([partition, other])
    assert not poison_pills.one_by_one([other])
    poison_pills.passed({partition: 11})
    assert poison_pills.one_by_one([partition])
    assert poison_pills.add(EngineFailure(chunks[1:2]))
    with pytest.raises(Rejected, match="processing_failed"):
        poison_pills.check(RecordPlace(topic="call-audio", partition=3, offset=11))
    poison_pills.passed({partition: 13})
    assert not poison_pills.one_by_one([partition])
    assert not poison_pills.add(EngineFailure([]))
