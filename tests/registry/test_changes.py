"""Promote, roll back and retire on a real topic, and what workers of before make of it."""

from contextlib import closing

import pytest
from kafka.consumer.fetcher import ConsumerRecord

from schemas.aliases import Alias
from schemas.errors import UserError
from tests.support.crafted_networks import calls_itself, crafted
from tests.support.installation import Installation
from tests.support.service import bundle_of, publish_model
from undertone.inference.bundle import DEFAULT_BUNDLE, read_bundle
from undertone.messaging.clients import reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.registry.changes import Moved, canary, parse_share, promote, publish, retire, rollback, stop_canary
from undertone.registry.contents import read_contents

SHIPPED = read_bundle(DEFAULT_BUNDLE).card.version


def records(installation: Installation) -> list[ConsumerRecord]:
    with closing(reader(installation.settings, auto_offset_reset="earliest")) as client:
        places = partitions_of(client, installation.topics.models.name)
        return list(read_to_end(installation.settings, client, places))


def named(installation: Installation) -> dict[Alias, str]:
    aliases = read_contents(installation.settings).state.aliases
    return {alias: record.version for alias, record in aliases.items()}


def test_promote_and_rollback_move_the_aliases_and_say_who_did_it(installation: Installation) -> None:
    settings = installation.settings
    for version in ("a", "b"):
        publish_model(installation, version, bundle_of(version))
    assert promote(settings, "a", "ann") == Moved("a", "b")
    assert named(installation) == {Alias.CHAMPION: "a", Alias.PREVIOUS: "b"}
    assert rollback(settings, "bob") == Moved("b", "a")
    assert rollback(settings, "bob") == Moved("a", "b")
    champion = read_contents(settings).state.aliases[Alias.CHAMPION]
    changes = [(change.version, change.by, change.how) for change in (champion, *champion.history)]
    assert changes == [("a", "bob", "rollback"), ("b", "bob", "rollback"), ("a", "ann", "promote")]


def test_the_newest_record_is_always_the_champions_bundle(installation: Installation) -> None:
    """A worker that knows no aliases takes the newest bundle, and looks at three records at its start."""
    settings = installation.settings
    for version in ("a", "b"):
        publish_model(installation, version, bundle_of(version))
    for change, champion in (
        (lambda: promote(settings, "a", "ann"), "a"),
        (lambda: promote(settings, SHIPPED, "ann"), SHIPPED),
        (lambda: rollback(settings, "ann"), "a"),
        (lambda: canary(settings, "b", 0.05, "ann"), "a"),
        (lambda: stop_canary(settings, "ann"), "a"),
    ):
        change()
        newest = records(installation)[-1]
        assert newest.key == champion.encode()
        assert read_bundle(newest.value).card.version == champion


def test_the_first_champion_can_be_rolled_back_to_the_bundle_that_ships(installation: Installation) -> None:
    publish_model(installation, "broken", b"no bundle")
    assert promote(installation.settings, SHIPPED, "ann") == Moved(SHIPPED, SHIPPED)
    publish_model(installation, "a", bundle_of("a"))
    assert promote(installation.settings, "a", "ann") == Moved("a", SHIPPED)
    assert rollback(installation.settings, "ann") == Moved(SHIPPED, "a")


def test_what_the_trainer_publishes_becomes_the_champion_where_there_is_one(installation: Installation) -> None:
    settings = installation.settings
    publish(read_bundle(bundle_of("a")), settings)
    assert named(installation) == {}
    promote(settings, "a", "ann")
    publish(read_bundle(bundle_of("b")), settings)
    assert named(installation) == {Alias.CHAMPION: "b", Alias.PREVIOUS: "a"}
    assert read_contents(settings).in_use().version == "b"
    assert records(installation)[-1].key == b"b"


def test_what_cannot_be_run_is_not_promoted(installation: Installation) -> None:
    publish_model(installation, "a", bundle_of("a"))
    flipped = bytearray(bundle_of("flipped"))
    flipped[len(flipped) // 2] ^= 1
    publish_model(installation, "flipped", bytes(flipped))
    publish_model(installation, "crafted", crafted(calls_itself))
    publish_model(installation, "other-name", bundle_of("b"))
    before = len(records(installation))
    for version, why in (
        ("flipped", "champion stays: model bundle"),
        ("crafted", "SIGSEGV"),
        ("other-name", "its card's version is b"),
        ("none", "none is not on models"),
        ("challenger", "no model is the challenger"),
    ):
        with pytest.raises(UserError, match=why) as caught:
            promote(installation.settings, version, "ann")
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no previous model to roll back to"):
        rollback(installation.settings, "ann")
    assert len(records(installation)) == before


def test_retire_withdraws_a_version_and_its_aliases_but_not_what_workers_run(installation: Installation) -> None:
    settings = installation.settings
    for version in ("a", "b"):
        publish_model(installation, version, bundle_of(version))
    with pytest.raises(UserError, match="b is what workers run"):
        retire(settings, "b")
    promote(settings, "a", "ann")
    with pytest.raises(UserError, match="a is what workers run"):
        retire(settings, "champion")
    with pytest.raises(UserError, match="ships with Undertone"):
        retire(settings, SHIPPED)
    assert retire(settings, "b") == ("b", [Alias.PREVIOUS])
    assert [entry.version for entry in read_contents(settings).entries] == [SHIPPED, "a"]
    with pytest.raises(UserError, match="no previous model"):
        rollback(settings, "ann")
    with pytest.raises(UserError, match="a is the champion already"):
        promote(settings, "a", "ann")


def test_a_canary_is_the_challenger_with_a_share_and_the_champion_is_named(installation: Installation) -> None:
    settings = installation.settings
    for version in ("a", "b"):
        publish_model(installation, version, bundle_of(version))
    assert canary(settings, "a", 0.05, "ann") == "a"
    assert named(installation) == {Alias.CHAMPION: "b", Alias.CHALLENGER: "a"}, "else the newest would be taken"
    assert canary(settings, "a", 0.2, "bob") == stop_canary(settings, "eve") == "a"
    challenger = read_contents(settings).state.aliases[Alias.CHALLENGER]
    shares = [(change.share, change.by) for change in (challenger, *challenger.history)]
    assert shares == [(0, "eve"), (0.2, "bob"), (0.05, "ann")]
    with pytest.raises(UserError, match="no canary has calls"):
        stop_canary(settings, "eve")
    with pytest.raises(UserError, match="b is the champion"):
        canary(settings, "b", 0.05, "ann")
    promote(settings, "challenger", "ann")
    assert named(installation) == {Alias.CHAMPION: "a", Alias.PREVIOUS: "b"}


def test_a_share_is_a_number_or_one_of_a_hundred() -> None:
    assert [parse_share(text) for text in ("5%", "0.05", "0", "100 %", "1")] == [0.05, 0.05, 0, 1, 1]
    for text in ("", "%", "5", "-1%", "nan", "5%%", "five"):
        with pytest.raises(UserError, match="--share"):
            parse_share(text)
