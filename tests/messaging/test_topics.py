"""Topics on a real broker: created once, never changed, and what differs is said."""

import time
from collections.abc import Iterator

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaConnectionError, PolicyViolationError

from schemas.errors import UserError
from schemas.topics import Topics
from tests.support.installation import wait_for
from undertone.messaging.clients import KafkaAway, admin, group_consumer, reader, transactional_producer
from undertone.messaging.reading import read_to_end
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import check_copartitioned, ensure_topics, raise_partitions, require_topics


@pytest.fixture
def client(kafka_settings: KafkaSettings) -> Iterator[KafkaAdminClient]:
    """An admin client, closed at the end."""
    with admin(kafka_settings) as client:
        yield client


@pytest.fixture
def names(kafka_settings: KafkaSettings) -> Topics:
    """Names of topics that do not exist yet."""
    return Topics(kafka_settings.topic_prefix)


def test_creates_what_is_missing_and_nothing_the_second_time(client: KafkaAdminClient, names: Topics) -> None:
    first = ensure_topics(client, names, partitions=3)
    assert [state.topic for state in first] == list(names.all)
    assert all(state.created and not state.differences for state in first)
    again = ensure_topics(client, names, partitions=3)
    assert not any(state.created or state.differences for state in again)
    assert check_copartitioned(client, names) == 3


def test_says_what_differs_and_changes_nothing(client: KafkaAdminClient, names: Topics) -> None:
    events = names.emotion_events.name
    configs = names.emotion_events.kafka_config | {"retention.ms": "5"}
    client.create_topics({events: {"num_partitions": 2, "replication_factor": 1, "configs": configs}})
    client.wait_for_topics([events])
    for _ in range(2):
        state = next(s for s in ensure_topics(client, names, partitions=3) if s.topic.name == events)
        wanted = names.emotion_events.retention_ms
        assert state.differences == ("2 partitions, not 3", f"retention.ms is 5, not {wanted}")
        assert not state.created
    without_a_number = next(s for s in ensure_topics(client, names) if s.topic.name == events)
    assert without_a_number.differences == (f"retention.ms is 5, not {wanted}",)


def test_worker_state_follows_the_partitions_of_call_audio(client: KafkaAdminClient, names: Topics) -> None:
    audio = names.call_audio
    client.create_topics({audio.name: {"num_partitions": 5, "replication_factor": 1, "configs": audio.kafka_config}})
    client.wait_for_topics([audio.name])
    with pytest.raises(UserError, match=r"worker-state does not exist: run `undertone topics`"):
        check_copartitioned(client, names)
    ensure_topics(client, names)
    assert check_copartitioned(client, names) == 5


def test_dead_letters_are_kept_as_long_as_the_audio_that_they_hold(client: KafkaAdminClient, names: Topics) -> None:
    assert names.dead_letters.retention_ms == names.call_audio.retention_ms
    assert 0 < names.dead_letters.retention_bytes <= 2**30
    audio, letters = names.call_audio, names.dead_letters
    hour = {"num_partitions": 2, "replication_factor": 1, "configs": audio.kafka_config | {"retention.ms": "3600000"}}
    client.create_topics({audio.name: hour})
    client.wait_for_topics([audio.name])
    (state,) = (state for state in ensure_topics(client, names) if state.topic.name == letters.name)
    assert state.created
    assert state.topic.kafka_config["retention.ms"] == "3600000"
    longer = {letters.name: {"retention.ms": "7200000"}}
    client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, letters.name, longer[letters.name])])
    end = time.monotonic() + 60
    while not state.differences:
        assert time.monotonic() < end
        (state,) = (state for state in ensure_topics(client, names) if state.topic.name == letters.name)
    assert "retention.ms is 7200000, not 3600000" in state.differences


def test_unequal_partitions_are_an_error(client: KafkaAdminClient, names: Topics) -> None:
    for topic, partitions in ((names.call_audio, 2), (names.worker_state, 3)):
        client.create_topics({topic.name: {"num_partitions": partitions, "replication_factor": 1}})
        client.wait_for_topics([topic.name])
    with pytest.raises(UserError, match=r"call-audio has 2 partitions and .*worker-state 3"):
        check_copartitioned(client, names)


def test_a_refusal_is_one_line(client: KafkaAdminClient, names: Topics) -> None:
    with pytest.raises(UserError, match=r"Kafka did not create .*call-audio: .*[Rr]eplication"):
        ensure_topics(client, names, partitions=1, replication_factor=3)


def test_a_broker_that_goes_away_while_it_is_asked_is_one_line(
    client: KafkaAdminClient, names: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise KafkaConnectionError("111 ECONNREFUSED")

    monkeypatch.setattr(client, "describe_topics", gone)
    with pytest.raises(KafkaAway, match="went away while it was asked for its topics"):
        require_topics(client, names.call_audio)


def test_a_transaction_is_seen_whole_or_not_at_all(kafka_settings: KafkaSettings, topics: Topics) -> None:
    events, prefix = topics.emotion_events.name, kafka_settings.topic_prefix
    with transactional_producer(kafka_settings, f"{prefix}writer") as producer:
        producer.init_transactions()
        for value, keep in ((b"kept", True), (b"dropped", False), (b"also kept", True)):
            producer.begin_transaction()
            producer.send(events, value=value, partition=0)
            if keep:
                producer.commit_transaction()
            else:
                producer.flush()
                producer.abort_transaction()
    with reader(kafka_settings, auto_offset_reset="earliest") as consumer:
        seen = [record.value for record in read_to_end(kafka_settings, consumer, [TopicPartition(events, 0)])]
    assert seen == [b"kept", b"also kept"]


def test_a_static_member_that_comes_back_keeps_its_partitions(kafka_settings: KafkaSettings, topics: Topics) -> None:
    audio, group = topics.call_audio.name, f"{kafka_settings.topic_prefix}workers"

    def join() -> set[TopicPartition]:
        with group_consumer(kafka_settings, group, "worker-1") as consumer:
            consumer.subscribe([audio])
            while not consumer.assignment():
                consumer.poll(200)
            return consumer.assignment()

    assert join() == join() == {TopicPartition(audio, number) for number in range(4)}


def test_partitions_are_raised_together(client: KafkaAdminClient, names: Topics) -> None:
    ensure_topics(client, names, partitions=2)
    assert raise_partitions(client, names, 3) == 3
    assert check_copartitioned(client, names) == 3
    client.create_partitions({names.call_audio.name: 5})
    wait_for(lambda: require_topics(client, names.call_audio) == [5], "the broker to know of them")
    with pytest.raises(UserError, match="undertone topics --raise"):
        check_copartitioned(client, names)
    assert raise_partitions(client, names) == 5
    assert check_copartitioned(client, names) == 5
    with pytest.raises(UserError, match="takes no partition away"):
        raise_partitions(client, names, 4)


def test_where_one_cannot_be_raised_the_other_is_not(
    client: KafkaAdminClient, names: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_topics(client, names, partitions=2)
    create = client.create_partitions

    def state_is_refused(growing: dict[str, int], **options: object) -> object:
        # The broker gives those of a request that it may, and refuses the others.
        answer = create({names.call_audio.name: growing[names.call_audio.name]}, **options)
        raise PolicyViolationError(str(answer))

    monkeypatch.setattr(client, "create_partitions", state_is_refused)
    with pytest.raises(UserError, match="did not raise"):
        raise_partitions(client, names, 3)
    time.sleep(1)
    assert check_copartitioned(client, names) == 2
