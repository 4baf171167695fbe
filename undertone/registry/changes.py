"""How the registry is changed: bundles are added and withdrawn, aliases moved.

Every change of an alias ends with the champion's bundle, sent again. Workers of 0.1 take the newest bundle and know no
aliases: so they follow the champion as well, and find it at their start behind whatever else is there.
"""

import getpass
import socket
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

from kafka.errors import KafkaError

from schemas.aliases import Alias, AliasChange, AliasRecord
from schemas.errors import UserError
from schemas.topics import Topics
from undertone.inference.bundle import Bundle, bundle_bytes
from undertone.messaging.clients import idempotent_producer
from undertone.messaging.settings import KafkaSettings
from undertone.registry.contents import Contents, Entry, read_contents

_SEND_TIMEOUT_S = 30

Record = tuple[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class Moved:
    """What a change has made the champion, and what it was before."""

    champion: str
    before: str


def publish(bundle: Bundle, settings: KafkaSettings) -> int:
    """Put a bundle on the topic and give it to the workers; its offset, once every replica in sync has it.

    Where an alias names the champion that is moved too, for workers follow it. It is signed where there is a key.

    Raises:
        UserError: no Kafka, no such topic, or Kafka did not take it; a signature is asked for, and the key is missing.
    """
    contents = read_contents(settings)
    version, value = _signed(contents, bundle)
    records: list[Record] = []
    before = contents.state.named(Alias.CHAMPION)
    if before and before != version:
        records = _moving(contents, version, before, whoever(), "publish")
    return _write(settings, [*records, (version.encode(), value)])


def succession(contents: Contents, bundle: Bundle, by: str, how: str) -> list[Record]:
    """The records, in their order, that make a new bundle the champion.

    Raises:
        UserError: a signature is asked for, and the key is missing.
    """
    version, value = _signed(contents, bundle)
    return [*_moving(contents, version, contents.running, by, how), (version.encode(), value)]


def nomination(contents: Contents, bundle: Bundle, by: str, how: str) -> list[Record]:
    """The records that add a new bundle as the challenger, for a person to promote; workers go on as before.

    What they run is named the champion where nothing is: without that they would take the newest bundle.

    Raises:
        UserError: as `succession`.
    """
    version, value = _signed(contents, bundle)
    records = [(version.encode(), value), _alias(contents, Alias.CHALLENGER, version, by, how)]
    if contents.state.named(Alias.CHAMPION) is None:
        records.insert(0, _alias(contents, Alias.CHAMPION, contents.running, by, how))
    champion = contents.find(contents.running)
    return [*records, (champion.version.encode(), champion.value)]


def canary(settings: KafkaSettings, name: str, share: float, by: str) -> str:
    """Make a version the challenger, and give it a share of the calls: 0 for none, though a shadow may go on.

    Returns the version. What workers run is named the champion where nothing is.

    Raises:
        UserError: there is no such version, it cannot be used, it is the champion.
    """
    contents = read_contents(settings)
    entry = contents.find(name)
    running = contents.running
    if entry.version == running:
        raise UserError(f"{entry.version} is the champion: it has all calls that no canary has")
    _check(contents, entry)
    return _challenge(settings, contents, entry.version, share, by, "canary" if share else "shadow")


def stop_canary(settings: KafkaSettings, by: str) -> str:
    """Take a canary's calls away from it; it stays the challenger. Returns its version.

    Raises:
        UserError: no canary has calls.
    """
    contents = read_contents(settings)
    record = contents.state.aliases.get(Alias.CHALLENGER)
    if record is None or not record.share:
        raise UserError("no canary has calls: `undertone models canary VERSION --share 5%` gives it some")
    return _challenge(settings, contents, record.version, 0, by, "canary stopped")


def promote(settings: KafkaSettings, name: str, by: str) -> Moved:
    """Make a version the champion, and what workers ran until now the previous one.

    Raises:
        UserError: there is no such version, it cannot be used, it is the champion already.
    """
    contents = read_contents(settings)
    return _promote(settings, contents, contents.find(name), by, "promote")


def rollback(settings: KafkaSettings, by: str) -> Moved:
    """Make the previous version the champion again; the one that it takes over from becomes the previous one.

    Raises:
        UserError: there is no previous version, it is gone or cannot be used.
    """
    contents = read_contents(settings)
    if contents.state.named(Alias.PREVIOUS) is None:
        raise UserError("there is no previous model to roll back to: `undertone models promote VERSION` chooses one")
    return _promote(settings, contents, contents.find(Alias.PREVIOUS), by, "rollback")


def retire(settings: KafkaSettings, name: str) -> tuple[str, list[Alias]]:
    """Withdraw a version's bundle. Returns the version, and the aliases that named it and are gone.

    Raises:
        UserError: there is no such version on the topic, or workers run it.
    """
    contents = read_contents(settings)
    entry = contents.find(name)
    if entry.published is None:
        raise UserError(f"{entry.version} ships with Undertone and is not on models: there is nothing to retire")
    if entry.version == (contents.state.named(Alias.CHAMPION) or contents.in_use().version):
        raise UserError(f"{entry.version} is what workers run: promote another version first")
    gone = contents.state.aliases_of(entry.version)
    tombstones: list[Record] = [(alias.key, None) for alias in gone]
    _write(settings, [*tombstones, (entry.version.encode(), None)])
    return entry.version, gone


def parse_share(text: str) -> float:
    """`5%`, `0.05`.

    Raises:
        UserError: it is none.
    """
    number = text.removesuffix("%").strip()
    try:
        share = float(number) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:  # NaN fails too
        raise UserError(f"--share {text[:40]}: want a share of the calls, as 5% or 0.05")
    return share


def whoever() -> str:
    """Who changes the registry, where nobody says so: the user and the machine."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"[:128]
    except (KeyError, OSError):  # a container's user without a name
        return socket.gethostname()[:128] or "unknown"


def _promote(settings: KafkaSettings, contents: Contents, entry: Entry, by: str, how: str) -> Moved:
    champion = contents.state.named(Alias.CHAMPION)
    if entry.version == champion:
        raise UserError(f"{entry.version} is the champion already")
    _check(contents, entry)
    before = contents.running
    records = _moving(contents, entry.version, before, by, how)
    _write(settings, [*records, (entry.version.encode(), entry.value)])
    return Moved(entry.version, before)


def _check(contents: Contents, entry: Entry) -> None:
    """Try a version as a worker would.

    Raises:
        UserError: it cannot be used.
    """
    fault = contents.fault_of(entry)
    if entry.card and entry.card.version != entry.version:
        fault = f"its card's version is {entry.card.version}"
    if fault:
        raise UserError(f"{entry.version} cannot be used, and the champion stays: {fault}")


def _challenge(settings: KafkaSettings, contents: Contents, version: str, share: float, by: str, how: str) -> str:
    records = [_alias(contents, Alias.CHALLENGER, version, by, how, share)]
    if contents.state.named(Alias.CHAMPION) is None:
        records.insert(0, _alias(contents, Alias.CHAMPION, contents.running, by, how))
    champion = contents.find(contents.running)
    _write(settings, [*records, (champion.version.encode(), champion.value)])
    return version


def _signed(contents: Contents, bundle: Bundle) -> tuple[str, bytes]:
    """Version and value of a new bundle."""
    value = contents.signing.signed(bundle_bytes(bundle))
    contents.signing.check(value)
    return bundle.card.version, value


def _moving(contents: Contents, version: str, before: str, by: str, how: str) -> list[Record]:
    """The records of the aliases with which `version` becomes the champion after `before`."""
    records = []
    if before != version:
        records.append(_alias(contents, Alias.PREVIOUS, before, by, how))
    records.append(_alias(contents, Alias.CHAMPION, version, by, how))
    if contents.state.named(Alias.CHALLENGER) == version:
        records.append((Alias.CHALLENGER.key, None))
    return records


def _alias(contents: Contents, alias: Alias, version: str, by: str, how: str, share: float = 0) -> Record:
    now = datetime.now(UTC).replace(microsecond=0)
    change = AliasChange(version=version, by=by[:128], at=now, how=how, share=share)
    old = contents.state.aliases.get(alias)
    new = old.followed_by(change) if old else AliasRecord(**change.model_dump(), alias=alias)
    return alias.key, new.model_dump_json().encode()


def _write(settings: KafkaSettings, records: Sequence[Record]) -> int:
    """Write records in their order; the offset of the last, once every replica in sync has all of them."""
    topic = Topics(settings.topic_prefix).models.name
    with closing(idempotent_producer(settings)) as producer:
        try:
            sent = [producer.send(topic, key=key, value=value) for key, value in records]
            return [int(one.get(timeout=_SEND_TIMEOUT_S).offset) for one in sent][-1]
        except KafkaError as error:
            raise UserError(f"{topic}: Kafka did not take the bundle ({error}); see `undertone topics`") from None
