"""Poison pills are found one by one, and forgotten in time."""

import pytest
from kafka import TopicPartition

from schemas.audio import RecordPlace
from schemas.dead_letters import Rejected
from tests.support.streams import customer, cut
from worker.poison_pill import EngineFailure, PoisonPills


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
