"""Where partitions end, of those whose leaders answer."""

from collections.abc import Sequence

from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError

from undertone.messaging.reading import ends_that_answer

ONE, TWO, DEAD = (TopicPartition("call-audio", number) for number in range(3))


class Client:
    """A consumer that, as kafka-python 3.0.12, fails in one way or another where one of several has no leader."""

    def __init__(self, failure: Exception) -> None:
        self._failure = failure
        self.asked: list[list[TopicPartition]] = []

    def end_offsets(self, partitions: Sequence[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        self.asked.append(list(partitions))
        if DEAD in partitions:
            raise self._failure if len(partitions) > 1 else KafkaTimeoutError
        return dict.fromkeys(partitions, 7)


def test_those_with_leaders_are_told() -> None:
    for failure in (KeyError(DEAD), KafkaTimeoutError()):
        client = Client(failure)
        assert ends_that_answer(client, [ONE, DEAD, TWO], 100, 100, 60) == {ONE: 7, TWO: 7}


def test_one_question_is_enough_where_all_answer() -> None:
    client = Client(KeyError())
    assert ends_that_answer(client, [ONE, TWO], 100, 100, 60) == {ONE: 7, TWO: 7}
    assert len(client.asked) == 1


def test_it_ends_when_its_time_is_up() -> None:
    client = Client(KafkaTimeoutError())
    assert ends_that_answer(client, [DEAD, ONE], 100, 100, -1) == {}
    assert len(client.asked) == 1
