"""What the records of `models` say, in the order in which they come."""

from datetime import UTC, datetime

import pytest
from kafka.consumer.fetcher import ConsumerRecord

from schemas.aliases import MAX_HISTORY, Alias, AliasChange, AliasRecord
from schemas.errors import UserError
from undertone.registry.state import RegistryState, is_bundle

AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def record(offset: int, key: bytes, value: bytes | None) -> ConsumerRecord:
    fields = {"topic": "models", "partition": 0, "offset": offset, "key": key, "value": value}
    return ConsumerRecord(**dict.fromkeys(ConsumerRecord._fields) | fields)


def alias(offset: int, name: Alias, version: str) -> ConsumerRecord:
    value = AliasRecord(version=version, by="ann", at=AT, alias=name).model_dump_json()
    return record(offset, name.key, value.encode())


def noted(*records: ConsumerRecord) -> RegistryState:
    state = RegistryState()
    for one in records:
        state.note(one)
    return state


def test_bundles_are_in_the_order_of_their_newest_records() -> None:
    state = noted(record(0, b"a", b"1"), record(1, b"b", b"2"), record(2, b"a", b"1"))
    assert [(place.version, place.offset) for place in state.places] == [("b", 1), ("a", 2)]


def test_a_withdrawn_bundle_is_gone() -> None:
    state = noted(record(0, b"a", b"1"), record(1, b"a", None))
    assert state.places == []
    assert state.place("a") is None


def test_an_alias_names_a_version_until_it_is_withdrawn() -> None:
    state = noted(record(0, b"a", b"1"), alias(1, Alias.CHAMPION, "a"))
    assert state.named(Alias.CHAMPION) == "a"
    assert state.aliases_of("a") == [Alias.CHAMPION]
    state.note(record(2, Alias.CHAMPION.key, None))
    assert state.named(Alias.CHAMPION) is None


def test_an_alias_of_a_later_version_of_undertone_is_no_bundle_and_no_error() -> None:
    later = record(0, b"alias/canary", b"{}")
    assert noted(later).places == []
    assert not is_bundle(later)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"no json", "alias/champion: value: Invalid JSON"),
        (b'{"alias": "champion"}', "alias/champion: version: Field required"),
        (alias(0, Alias.PREVIOUS, "a").value, "alias/champion: the value is of alias previous"),
    ],
)
def test_a_bad_alias_is_told_in_one_line_and_changes_nothing(value: bytes, told: str) -> None:
    state = noted(alias(0, Alias.CHAMPION, "a"))
    with pytest.raises(UserError) as caught:
        state.note(record(1, Alias.CHAMPION.key, value))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert state.named(Alias.CHAMPION) == "a"


def test_an_alias_remembers_what_it_named_before() -> None:
    current = AliasRecord(version="v0", by="ann", at=AT, alias=Alias.CHAMPION)
    for number in range(1, MAX_HISTORY + 10):
        current = current.followed_by(AliasChange(version=f"v{number}", by="bob", at=AT, how="promote"))
    assert [change.version for change in current.history[:2]] == [f"v{MAX_HISTORY + 8}", f"v{MAX_HISTORY + 7}"]
    assert len(current.history) == MAX_HISTORY
    assert AliasRecord.parse(Alias.CHAMPION.key, current.model_dump_json().encode()) == current
