"""What the console remembers and what it sheds, without Kafka."""

import pytest

from undertone.console.web.entries import Entry, positions_of, positions_text
from undertone.console.web.memory import Memory
from undertone.console.web.readers import Reader, ReaderOver


def entry(
    offset: int, stream: str = "a/customer", *, update: bool = False, partition: int = 0, moment: int = 0
) -> Entry:
    return Entry(partition, offset, stream, update, moment, f'"{partition}:{offset}"')


def remembered(*entries: Entry, limit: int = 1000) -> Memory:
    memory = Memory(limit)
    memory.add([], {0: 0, 1: 0})
    for one in entries:
        memory.add([one], {one.partition: one.offset + 1})
    return memory


def places(entries: list[Entry] | None) -> list[tuple[int, int]] | None:
    return None if entries is None else [(one.partition, one.offset) for one in entries]


def test_who_comes_back_gets_what_came_since() -> None:
    memory = remembered(
        entry(0), entry(0, "b/agent", partition=1), entry(1, update=True), entry(2), entry(3, update=True)
    )
    assert places(memory.since({0: 0, 1: 0})) == [(0, 0), (1, 0), (0, 2), (0, 3)]
    assert places(memory.since({0: 1, 1: 1})) == [(0, 2), (0, 3)]
    assert places(memory.since({0: 4, 1: 1})) == []


def test_who_stood_at_what_is_not_known_begins_anew() -> None:
    memory = remembered(*(entry(offset) for offset in range(10)), limit=4)
    assert places(memory.since({0: 6, 1: 0})) == [(0, 6), (0, 7), (0, 8), (0, 9)]
    assert memory.since({0: 5, 1: 0}) is None, "5 is forgotten"
    assert memory.since({0: 11, 1: 0}) is None, "the topic was another one"
    assert memory.since({0: 6, 1: 0, 2: 0}) is None, "the topic had more partitions"


def test_a_partition_that_is_new_is_read_from_where_it_began() -> None:
    memory = remembered(entry(0))
    memory.add([], {2: 5})
    memory.add([entry(5, "c/customer", partition=2)], {2: 6})
    assert places(memory.since({0: 1, 1: 0})) == [(2, 5)]


def test_what_is_remembered_is_bounded() -> None:
    memory = remembered(
        *(entry(offset, f"{offset}/customer", update=offset % 2 == 0) for offset in range(5000)), limit=100
    )
    assert len(memory.shown()) <= 200


def test_a_page_that_is_opened_gets_what_is_recent() -> None:
    memory = remembered(
        entry(0, "old/customer", moment=0),
        entry(1, "quiet/customer", moment=1_500_000),
        entry(2, "quiet/customer", moment=1_600_000),
        *(entry(offset, "long/customer", moment=1_000_000 + offset * 10_000) for offset in range(3, 101)),
        entry(101, "long/customer", update=True, moment=2_010_000),
    )
    assert places(memory.shown()) == [(0, 2), *((0, offset) for offset in range(86, 102))]
    assert places(memory.of_call("old")) == [(0, 0)]


def test_updates_are_shed_and_segments_never() -> None:
    memory = remembered()
    slow = Reader(memory, {0: 0, 1: 0})
    for start in range(0, 400, 4):
        batch = [entry(start + step, update=step != 2) for step in range(4)]
        memory.add(batch, {0: start + 4})
        slow.offer(batch)
    taken, stands = slow.take()
    assert places(taken) == [*((0, start + 2) for start in range(0, 400, 4)), (0, 399)]
    assert stands == {0: 400, 1: 0}


def test_a_long_message_is_cut_and_each_part_says_where_it_ends() -> None:
    memory = remembered(*(entry(offset) for offset in range(700)))
    reader = Reader(memory, {0: 0, 1: 0})
    first, stands = reader.take()
    assert (len(first), stands) == (500, {0: 500, 1: 0})
    second, stands = reader.take()
    assert (len(second), stands) == (200, {0: 700, 1: 0})


def test_a_page_that_begins_anew_has_no_place_until_it_has_all() -> None:
    memory = remembered(*(entry(offset, f"{offset}/customer") for offset in range(700)))
    reader = Reader(memory, None)
    assert reader.anew
    assert reader.take()[1] is None
    assert reader.take()[1] == {0: 700, 1: 0}


def test_a_page_that_takes_nothing_has_to_come_back() -> None:
    memory = remembered()
    stuck = Reader(memory, {0: 0, 1: 0})
    stuck.offer([entry(offset) for offset in range(6000)])
    with pytest.raises(ReaderOver):
        stuck.take()


def test_the_page_of_a_call_gets_that_call() -> None:
    memory = remembered(entry(0, "a/customer"), entry(1, "ab/customer"), entry(2, "a/agent", update=True))
    reader = Reader(memory, None, "a")
    reader.offer([entry(3, "a/agent"), entry(4, "b/agent")])
    assert places(reader.take()[0]) == [(0, 0), (0, 3)]


def test_positions_are_read_as_they_are_written() -> None:
    assert positions_of(positions_text({3: 7, 0: 12})) == {0: 12, 3: 7}
    for text in (None, "", "0", "0:x", "0:1,", "0:-1", "0:1 "):
        assert positions_of(text) is None
