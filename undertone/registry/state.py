"""What the records of `models` say, taken one after the other: bundles by version, and aliases."""

from dataclasses import dataclass

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from schemas.aliases import Alias, AliasRecord, names_an_alias


@dataclass(frozen=True, slots=True)
class Place:
    """Where the newest bundle of a version lies."""

    version: str
    partition: TopicPartition
    offset: int


class RegistryState:
    """The registry as far as its records have been noted. Values of bundles are not kept: they are megabytes."""

    def __init__(self) -> None:
        self.aliases: dict[Alias, AliasRecord] = {}
        self._places: dict[str, Place] = {}  # in the order of their offsets, the newest last

    def note(self, record: ConsumerRecord) -> None:
        """Take the next record.

        Raises:
            UserError: an alias whose value is none; it names what it did before.
        """
        key = record.key or b""
        if names_an_alias(key):
            self._note_alias(record)
            return
        version = key.decode(errors="replace")
        self._places.pop(version, None)
        if record.value is not None:
            self._places[version] = Place(version, TopicPartition(record.topic, record.partition), record.offset)

    def _note_alias(self, record: ConsumerRecord) -> None:
        alias = next((alias for alias in Alias if alias.key == record.key), None)
        if alias is None:
            return  # of a later version of Undertone
        if record.value is None:
            self.aliases.pop(alias, None)
        else:
            self.aliases[alias] = AliasRecord.parse(record.key, record.value)

    @property
    def places(self) -> list[Place]:
        """Where the bundles lie, the oldest first."""
        return list(self._places.values())

    def place(self, version: str) -> Place | None:
        """Where the bundle of a version lies, if it is on the topic."""
        return self._places.get(version)

    def forget(self, place: Place) -> None:
        """Take note that a bundle no longer lies where it did: compaction has a newer one of its version."""
        if self._places.get(place.version) == place:
            del self._places[place.version]

    def named(self, alias: Alias) -> str | None:
        """The version that an alias names."""
        record = self.aliases.get(alias)
        return record.version if record else None

    def aliases_of(self, version: str) -> list[Alias]:
        """The aliases that name a version."""
        return [alias for alias in Alias if self.named(alias) == version]


def is_bundle(record: ConsumerRecord) -> bool:
    """Whether a record of `models` holds a bundle, good or bad: no alias, and no withdrawal of one."""
    return record.value is not None and not names_an_alias(record.key or b"")
