"""Keys go where every Kafka client sends them, whatever is remembered."""

from types import SimpleNamespace

import pytest
from kafka.cluster import ClusterMetadata
from kafka.partitioner import DefaultPartitioner

from undertone.messaging.partitioner import KeyPartitioner


def cluster_of(partitions: int) -> ClusterMetadata:
    cluster = ClusterMetadata()
    cluster._partitions = {"events": {number: SimpleNamespace(leader_id=1) for number in range(partitions)}}
    return cluster


def test_keys_go_where_the_client_sends_them_also_with_more_partitions() -> None:
    ours, theirs = KeyPartitioner(), DefaultPartitioner()
    for partitions in (1, 4, 12):
        cluster = cluster_of(partitions)
        for number in range(200):
            key = f"call-{number}/customer".encode()
            arguments = "events", key, key, b"", b"", cluster
            assert ours.partition(*arguments) == theirs.partition(*arguments)
    assert ours.partition("events", None, None, b"", b"", cluster_of(4)) in range(4)
    with pytest.raises(ValueError, match="not found"):
        ours.partition("other", b"key", b"key", b"", b"", cluster_of(4))
