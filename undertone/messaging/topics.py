"""Creates the topics that are missing and says which existing ones differ.

It alters a topic only where it is asked to raise the partitions, and deletes none.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas.errors import UserError
from schemas.topics import Topic, Topics
from undertone.messaging.clients import KafkaAway

# Enough for eight workers; more partitions than workers cost little, fewer leave workers idle.
DEFAULT_PARTITIONS = 8
_KNOWN_S = 10.0


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is on the broker. `differences` are sentences for people; empty where all is as defined."""

    topic: Topic
    partitions: int
    replication_factor: int
    created: bool
    differences: tuple[str, ...]


def ensure_topics(
    client: KafkaAdminClient, topics: Topics, partitions: int | None = None, replication_factor: int = 1
) -> list[TopicState]:
    """Create what is missing, leave the rest alone, and report all topics in the order of `topics.all`.

    `partitions` is for the topics that do not fix their own number; None asks for no number: 8 for a new topic,
    and any for an existing one. A new `worker-state` always follows an existing `call-audio`, and the reverse.
    `dead-letters` hold audio, so they are to be kept as long as an existing `call-audio` is.

    Raises:
        UserError: the broker refuses to create or to describe a topic.
    """
    existing = _sizes(client, topics.all)
    defined = _defined(client, topics, existing)
    wanted = {topic.name: topic.partitions or partitions for topic in defined}
    twins = (topics.call_audio.name, topics.worker_state.name)
    streams = next((existing[name][0] for name in twins if name in existing), partitions)
    missing = [topic for topic in defined if topic.name not in existing]
    for topic in missing:
        count = streams if topic.name in twins else wanted[topic.name]
        _create(client, topic, count or DEFAULT_PARTITIONS, replication_factor)
    if missing:
        client.wait_for_topics([topic.name for topic in missing])
        existing = _sizes(client, defined)
        end = time.monotonic() + _KNOWN_S  # the broker that was asked knows them; the next may not yet
        while any(topic.name not in existing for topic in defined) and time.monotonic() < end:
            time.sleep(0.05)
            existing = _sizes(client, defined)
    configs = _configs(client, defined)
    return [
        TopicState(
            topic,
            *existing[topic.name],
            created=topic in missing,
            differences=_differences(topic, existing[topic.name][0], wanted[topic.name], configs[topic.name]),
        )
        for topic in defined
    ]


def check_copartitioned(client: KafkaAdminClient, topics: Topics) -> int:
    """The number of partitions that `call-audio` and `worker-state` share.

    Raises:
        UserError: one of them is missing, or their numbers differ: a stream's state would have no place.
    """
    audio, state = require_topics(client, topics.call_audio, topics.worker_state)
    if audio != state:
        raise UserError(
            f"{topics.call_audio.name} has {audio} partitions and {topics.worker_state.name} {state}: they must have"
            " the same number; `undertone topics --raise` gives the smaller what it lacks"
        )
    return audio


def raise_partitions(client: KafkaAdminClient, topics: Topics, partitions: int | None = None) -> int:
    """Give `call-audio` and `worker-state` the same, larger number of partitions: both, or neither.

    Without a number the smaller gets that of the larger.

    Raises:
        UserError: one of them is missing, has more already, or Kafka refuses.
    """
    twins = (topics.call_audio, topics.worker_state)
    sizes = require_topics(client, *twins)
    wanted = partitions or max(sizes)
    if wanted < max(sizes):
        raise UserError(f"--partitions {wanted}: there are {max(sizes)}, and Kafka takes no partition away")
    growing = {topic.name: wanted for topic, size in zip(twins, sizes, strict=True) if size < wanted}
    # First a trial: what one of them would be refused, the other is not given either.
    for trial in (True, False) if growing else ():
        try:
            client.create_partitions(growing, validate_only=trial)
        except KafkaError as exc:
            raise UserError(f"Kafka did not raise {' and '.join(growing)} to {wanted} partitions: {exc}") from exc
    end = time.monotonic() + _KNOWN_S  # the controller has them; the broker that is asked may not know it yet
    while set(require_topics(client, *twins)) != {wanted} and time.monotonic() < end:
        time.sleep(0.05)
    return wanted


def require_topics(client: KafkaAdminClient, *topics: Topic) -> list[int]:
    """The number of partitions of each topic.

    Raises:
        UserError: one of them does not exist. Without this look the clients would wait for it, a minute a time.
        KafkaAway: the broker went away meanwhile.
    """
    sizes = _sizes(client, topics)
    for topic in topics:
        if topic.name not in sizes:
            raise UserError(f"topic {topic.name} does not exist: run `undertone topics`")
    return [sizes[topic.name][0] for topic in topics]


def _defined(client: KafkaAdminClient, topics: Topics, existing: Collection[str]) -> list[Topic]:
    """All topics, the dead letters with the retention that `call-audio` has on this broker."""
    source, letters = topics.call_audio, topics.dead_letters
    if source.name in existing:
        kept_ms = int(_configs(client, [source])[source.name]["retention.ms"])
        letters = replace(letters, retention_ms=kept_ms)
    return [letters if topic.name == letters.name else topic for topic in topics.all]


def _sizes(client: KafkaAdminClient, topics: Sequence[Topic]) -> dict[str, tuple[int, int]]:
    """Partitions and replication factor by name, of the topics that exist."""
    # All topics of the cluster: asking for a missing one by name could create it on a broker that does so.
    try:
        found = {entry["name"]: entry["partitions"] for entry in client.describe_topics()}
    except KafkaError as error:
        raise KafkaAway(f"Kafka went away while it was asked for its topics: try again ({error})") from error
    return {
        topic.name: (len(found[topic.name]), len(found[topic.name][0]["replica_nodes"]))
        for topic in topics
        if found.get(topic.name)
    }


def _create(client: KafkaAdminClient, topic: Topic, partitions: int, replication_factor: int) -> None:
    spec = {
        "num_partitions": partitions,
        "replication_factor": replication_factor,
        "configs": topic.kafka_config,
    }
    try:
        answer = client.create_topics({topic.name: spec}, raise_errors=False)["topics"][0]
    except KafkaError as exc:
        raise UserError(f"Kafka did not create {topic.name}: {exc}") from exc
    error = for_code(answer["error_code"])
    # Somebody else created it between our look and our request: it is reported as it is.
    if answer["error_code"] and error is not TopicAlreadyExistsError:
        raise UserError(f"Kafka did not create {topic.name}: {answer.get('error_message') or error.__name__}")


def _configs(client: KafkaAdminClient, topics: Sequence[Topic]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name, list(topic.kafka_config)) for topic in topics]
    try:
        answer = client.describe_configs(resources, config_filter="all")["topic"]
    except KafkaError as exc:
        raise UserError(f"Kafka did not say how the topics are configured: {exc}") from exc
    return {name: {key: str(entry["value"]) for key, entry in entries.items()} for name, entries in answer.items()}


def _differences(topic: Topic, partitions: int, wanted: int | None, config: dict[str, str]) -> tuple[str, ...]:
    found = [f"{partitions} partitions, not {wanted}"] if wanted not in (None, partitions) else []
    for key, value in topic.kafka_config.items():
        if config.get(key) != value:
            found.append(f"{key} is {config.get(key, 'unknown')}, not {value}")
    return tuple(found)
