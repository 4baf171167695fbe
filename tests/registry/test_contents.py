"""The registry as people and the trainer see it."""

from kafka.consumer.fetcher import ConsumerRecord

from schemas.aliases import Alias
from tests.registry.test_state import alias, noted, record
from tests.support.service import bundle_of
from undertone.inference.bundle import DEFAULT_BUNDLE, read_bundle
from undertone.registry.contents import Contents
from undertone.registry.signing import SigningSettings
from undertone.registry.state import is_bundle

SHIPPED = read_bundle(DEFAULT_BUNDLE).card.version


def contents(*records: ConsumerRecord) -> Contents:
    stamped = [one._replace(timestamp=1_772_000_000_000) for one in records]
    bundles = {one.key.decode(): one for one in stamped if is_bundle(one)}
    return Contents(noted(*stamped), bundles, SigningSettings())


def test_another_bundle_of_the_version_that_ships_is_not_taken() -> None:
    """Workers have theirs, and whoever writes to the topic must not put another in its place."""
    it = contents(record(0, SHIPPED.encode(), bundle_of("other")), alias(1, Alias.CHAMPION, SHIPPED))
    assert it.find("champion").value == DEFAULT_BUNDLE.read_bytes()
    assert it.in_use().value == DEFAULT_BUNDLE.read_bytes()


def test_without_aliases_the_newest_that_can_be_used_is_in_use() -> None:
    it = contents(record(0, b"a", bundle_of("a")), record(1, b"b", b"no bundle"))
    assert [entry.version for entry in it.entries] == [SHIPPED, "a", "b"]
    assert it.in_use().version == "a"
    assert contents().in_use().version == SHIPPED


def test_a_champion_that_cannot_be_used_leaves_the_previous_one_in_use() -> None:
    it = contents(
        record(0, b"old", bundle_of("old")),
        record(1, b"bad", b"no bundle"),
        record(2, b"newest", bundle_of("newest")),
        alias(3, Alias.PREVIOUS, "old"),
        alias(4, Alias.CHAMPION, "bad"),
    )
    assert it.in_use().version == "old"
