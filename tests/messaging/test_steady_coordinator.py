"""A member of a group whose joins come to an end: that it is mended, and that kafka-python still needs it.

A test named `test_kafka_python_still_...` that fails says that kafka-python has changed: its workaround can go.
"""

import time
from contextlib import closing

import pytest
from kafka import KafkaConsumer
from kafka.consumer import group
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.structs import MemberState

from schemas.topics import Topics
from undertone.messaging.clients import admin, group_consumer
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.workarounds import SteadyCoordinator


def ends_a_join_whose_reason_went(consumer: KafkaConsumer, topic: str, patience_s: float) -> bool:
    """Whether a member is stable again after a join that it has sent and then found needless."""
    consumer.subscribe([topic])
    coordinator = consumer._coordinator
    end = time.monotonic() + 60
    while consumer.group_metadata().state != MemberState.STABLE:
        assert time.monotonic() < end
        consumer.poll(timeout_ms=100)
    while coordinator._join_task is None:
        assert time.monotonic() < end
        coordinator._assignment_snapshot = {topic: frozenset()}  # as if the topic had other partitions now
        consumer.poll(timeout_ms=0)
    coordinator._assignment_snapshot = coordinator._metadata_snapshot
    end = time.monotonic() + patience_s
    while consumer.group_metadata().state != MemberState.STABLE:
        if time.monotonic() > end:
            return False
        consumer.poll(timeout_ms=100)
    return True


def test_a_join_whose_reason_goes_away_is_finished(kafka_settings: KafkaSettings, topics: Topics) -> None:
    with closing(group_consumer(kafka_settings, f"{kafka_settings.topic_prefix}members")) as consumer:
        assert isinstance(consumer._coordinator, SteadyCoordinator)
        assert ends_a_join_whose_reason_went(consumer, topics.call_audio.name, 60)


def test_kafka_python_still_forgets_a_join_whose_reason_goes_away(
    kafka_settings: KafkaSettings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "ConsumerCoordinator", ConsumerCoordinator)
    options = {
        "group_id": f"{kafka_settings.topic_prefix}members",
        "partition_assignment_strategy": [CooperativeStickyAssignor()],
    }

    def ends_it() -> bool:
        with closing(KafkaConsumer(**kafka_settings.client_options() | options)) as consumer:
            # Where it is mended this is true after some milliseconds.
            return ends_a_join_whose_reason_went(consumer, topics.call_audio.name, 3)

    # In a process that is held up the group's answer may be here before the reason goes; then no join is forgotten.
    assert not all(ends_it() for _ in range(5))


def join_between_two_polls(consumer: KafkaConsumer, topic: str) -> int:
    """Send a join whose answers come while nobody polls. Returns its generation."""
    consumer.subscribe([topic])
    coordinator = consumer._coordinator
    end = time.monotonic() + 60
    while coordinator._join_task is None or not coordinator._join_task.succeeded():
        assert time.monotonic() < end
        if coordinator._join_task is None or coordinator._join_task.is_done:
            consumer.poll(timeout_ms=0)
        time.sleep(0.01)
    return int(coordinator._generation.generation_id)


def generation_when_stable(consumer: KafkaConsumer) -> int:
    """Poll until the member is stable. Returns its generation then."""
    end = time.monotonic() + 60
    while consumer.group_metadata().state != MemberState.STABLE:
        assert time.monotonic() < end
        consumer.poll(timeout_ms=100)
    return int(consumer._coordinator._generation.generation_id)


def test_a_join_that_ends_between_two_polls_counts(kafka_settings: KafkaSettings, topics: Topics) -> None:
    with closing(group_consumer(kafka_settings, f"{kafka_settings.topic_prefix}members")) as consumer:
        joined = join_between_two_polls(consumer, topics.call_audio.name)
        assert generation_when_stable(consumer) == joined
        assert poll_until([consumer], [4], 60)


def test_kafka_python_still_joins_again_after_a_join_that_ends_between_two_polls(
    kafka_settings: KafkaSettings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "ConsumerCoordinator", ConsumerCoordinator)
    options = {"group_id": f"{kafka_settings.topic_prefix}members"}
    with closing(KafkaConsumer(**kafka_settings.client_options() | options)) as consumer:
        joined = join_between_two_polls(consumer, topics.call_audio.name)
        end = time.monotonic() + 60
        # In a process that is held up each join may end between two polls, and none is the last.
        while consumer._coordinator._generation.generation_id <= joined:
            assert consumer.group_metadata().state != MemberState.STABLE
            assert time.monotonic() < end
            consumer.poll(timeout_ms=100)


def test_what_a_join_came_to_is_of_no_use_to_who_has_left(kafka_settings: KafkaSettings, topics: Topics) -> None:
    with closing(group_consumer(kafka_settings, f"{kafka_settings.topic_prefix}members")) as consumer:
        joined = join_between_two_polls(consumer, topics.call_audio.name)
        consumer._coordinator.reset_generation()
        assert generation_when_stable(consumer) > joined
        assert poll_until([consumer], [4], 60)


def rest_while_a_heartbeat_is_late(consumer: KafkaConsumer, monkeypatch: pytest.MonkeyPatch) -> float:
    """For how many seconds a poll waits then at most."""
    monkeypatch.setattr(consumer._coordinator, "time_to_next_heartbeat", lambda: 0)
    return float(consumer._coordinator.time_to_next_poll())


def test_a_poll_rests_while_a_heartbeat_is_late(kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(group_consumer(kafka_settings, f"{kafka_settings.topic_prefix}members")) as consumer:
        assert rest_while_a_heartbeat_is_late(consumer, monkeypatch) >= 0.01


def test_kafka_python_still_polls_in_a_circle_while_a_heartbeat_is_late(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "ConsumerCoordinator", ConsumerCoordinator)
    options = kafka_settings.client_options() | {"group_id": "members", "enable_auto_commit": False}
    with closing(KafkaConsumer(**options)) as consumer:
        assert rest_while_a_heartbeat_is_late(consumer, monkeypatch) == 0


def poll_until(consumers: list[KafkaConsumer], shares: list[int], patience_s: float) -> bool:
    """Poll in turn until the members have as many partitions each."""
    end = time.monotonic() + patience_s
    while [len(consumer.assignment()) for consumer in consumers] != shares:
        if time.monotonic() > end:
            return False
        for consumer in consumers:
            consumer.poll(timeout_ms=100)
    return True


def lose(consumer: KafkaConsumer) -> None:
    """What is left of an assignment when a session has ended and the member joins again."""
    consumer._coordinator._subscription.assign_from_subscribed([])


def test_a_member_claims_nothing_that_it_has_lost(kafka_settings: KafkaSettings, topics: Topics) -> None:
    with (
        closing(group_consumer(kafka_settings, f"{kafka_settings.topic_prefix}members")) as first,
        closing(group_consumer(kafka_settings, f"{kafka_settings.topic_prefix}members")) as second,
    ):
        for consumer in (first, second):
            consumer.subscribe([topics.call_audio.name])
        assert poll_until([first], [4], 60)
        lose(first)
        assert poll_until([first, second], [2, 2], 60)


def share_after_a_false_claim(first: KafkaConsumer, second: KafkaConsumer, topic: str, patience_s: float) -> bool:
    """Whether two members share a topic's four partitions, of which the first, who leads, claims what it has lost."""
    coordinator = first._coordinator
    coordinator.group_protocols = lambda: ConsumerCoordinator.group_protocols(coordinator)
    for consumer in (first, second):
        consumer.subscribe([topic])
    assert poll_until([first], [4], 60)
    lose(first)
    return poll_until([first, second], [2, 2], patience_s)


def quick(settings: KafkaSettings, instance: str) -> KafkaConsumer:
    """A static member that looks after its group often."""
    return group_consumer(
        settings, f"{settings.topic_prefix}members", instance, session_timeout_ms=30_000, heartbeat_interval_ms=200
    )


def test_partitions_that_nobody_lets_go_of_are_joined_for(
    kafka_settings: KafkaSettings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("undertone.messaging.workarounds.LOOK_S", 0.5)
    with closing(quick(kafka_settings, "a")) as first, closing(quick(kafka_settings, "b")) as second:
        assert share_after_a_false_claim(first, second, topics.call_audio.name, 60)


def test_partitions_whose_owner_restarts_between_two_rounds_are_joined_for(
    kafka_settings: KafkaSettings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("undertone.messaging.workarounds.LOOK_S", 0.5)
    topic = topics.call_audio.name
    with closing(quick(kafka_settings, "b")) as second:
        with closing(quick(kafka_settings, "a")) as first:
            for consumer in (first, second):
                consumer.subscribe([topic])
            assert poll_until([first], [4], 60)
            rejoin = first._coordinator.request_rejoin
            # It dies before it asks for the second round, having let go of two.
            first._coordinator.request_rejoin = lambda: None if len(first.assignment()) == 2 else rejoin()
            assert poll_until([first, second], [2, 0], 60)
        with closing(quick(kafka_settings, "a")) as first:
            first.subscribe([topic])
            assert poll_until([first, second], [2, 2], 60)


@pytest.mark.slow
def test_a_join_is_finished_however_short_the_polls_are(kafka_settings: KafkaSettings, topics: Topics) -> None:
    topic = topics.call_audio.name
    with closing(group_consumer(kafka_settings, "members", metadata_max_age_ms=200)) as consumer:
        consumer.subscribe([topic])
        for partitions in (4, 5, 6, 7, 8):
            if partitions > 4:
                with admin(kafka_settings) as client:
                    client.create_partitions({topic: partitions})
            end = time.monotonic() + 30
            # Shorter than any answer of the broker: every step of the join falls between two polls.
            while len(consumer.assignment()) != partitions or consumer.group_metadata().state != MemberState.STABLE:
                assert time.monotonic() < end, (consumer.group_metadata(), consumer.assignment())
                consumer.poll(timeout_ms=1)
