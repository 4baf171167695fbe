"""The registry as a whole, for people and for the trainer: every bundle that `models` holds, and the aliases."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

from kafka.consumer.fetcher import ConsumerRecord

from schemas.aliases import Alias
from schemas.card import ModelCard
from schemas.errors import UserError, one_line
from schemas.topics import Topics
from undertone.inference.bundle import DEFAULT_BUNDLE, read_bundle
from undertone.inference.trial import Trial
from undertone.messaging.clients import reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings
from undertone.registry.signing import SigningSettings
from undertone.registry.state import RegistryState, is_bundle


@dataclass(frozen=True, slots=True)
class Entry:
    """One version: its bundle, and when it came. What cannot be read has no card, and a line that says why."""

    version: str
    value: bytes
    published: datetime | None  # None: it ships and is not on the topic
    card: ModelCard | None
    fault: str = ""


class Contents:
    """All versions, the oldest first; that of the bundle that ships is always among them."""

    def __init__(self, state: RegistryState, bundles: dict[str, ConsumerRecord], signing: SigningSettings) -> None:
        self.state = state
        self.signing = signing
        shipped = _entry(DEFAULT_BUNDLE.read_bytes())
        self.shipped = shipped.version
        self._entries = {shipped.version: shipped}
        for place in state.places:
            # Not another bundle of the version that ships: workers take the one that they have.
            if place.version != shipped.version:
                self._entries[place.version] = _entry(bundles[place.version].value, bundles[place.version])

    @property
    def entries(self) -> list[Entry]:
        """Every version."""
        return list(self._entries.values())

    def find(self, name: str) -> Entry:
        """A version, by its name or by an alias.

        Raises:
            UserError: there is none.
        """
        alias = next((alias for alias in Alias if alias == name), None)
        version = self.state.named(alias) if alias else name
        if version is None:
            raise UserError(f"no model is the {name}; see `undertone models list`")
        if version not in self._entries:
            who = f"{name}, {one_line(version)}," if alias else one_line(version)
            raise UserError(f"{who} is not on models; see `undertone models list`")
        return self._entries[version]

    def in_use(self) -> Entry:
        """What workers run: the champion; without one the newest bundle that can be used, else the one that ships."""
        champion, previous = (self.state.named(alias) for alias in (Alias.CHAMPION, Alias.PREVIOUS))
        candidates = [champion, previous] if champion else [place.version for place in reversed(self.state.places)]
        for version in candidates:
            entry = self._entries.get(version or "")
            if entry and not self.fault_of(entry):
                return entry  # those that are passed over workers refuse too, and say so in dead-letters
        return self._entries[self.shipped]

    @property
    def running(self) -> str:
        """The version that is the champion; without one that of `in_use`."""
        if champion := self.state.named(Alias.CHAMPION):
            return champion
        card = self.in_use().card
        return card.version if card else self.shipped

    def fault_of(self, entry: Entry) -> str:
        """Why a version cannot be used, in one line; empty where it can. A stranger's network is tried for that."""
        if entry.fault or entry.version == self.shipped:
            return entry.fault
        return self.unsigned(entry) or Trial(entry.value).reason()

    def unsigned(self, entry: Entry) -> str:
        """Why a version's signature does not do; empty where it does, or none is asked for."""
        if entry.version == self.shipped:
            return ""
        try:
            self.signing.check(entry.value)
        except UserError as error:
            return str(error)
        return ""


def read_contents(settings: KafkaSettings) -> Contents:
    """The registry as it is now.

    Raises:
        UserError: no Kafka, or no such topic; a key that is none.
    """
    state, bundles, signing = RegistryState(), {}, SigningSettings.load()
    for record in _records(settings):
        try:
            state.note(record)
        except UserError:
            continue  # an alias that is none; workers say so
        if is_bundle(record):
            bundles[record.key.decode(errors="replace")] = record
    return Contents(state, bundles, signing)


def _records(settings: KafkaSettings) -> Iterator[ConsumerRecord]:
    with closing(reader(settings, auto_offset_reset="earliest")) as client:
        partitions = partitions_of(client, Topics(settings.topic_prefix).models.name)
        yield from read_to_end(settings, client, partitions)


def _entry(value: bytes, record: ConsumerRecord | None = None) -> Entry:
    published = datetime.fromtimestamp(record.timestamp / 1000, UTC) if record else None
    key = record.key.decode(errors="replace") if record else ""
    try:
        card = read_bundle(value).card
    except UserError as error:
        return Entry(key, value, published, None, str(error))
    return Entry(key or card.version, value, published, card)
