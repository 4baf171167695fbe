"""Dead letters carry the message as it came, whatever Kafka lets others write, and no audio that is not to be kept."""

from typing import Any

import pytest
from kafka.consumer.fetcher import ConsumerRecord

from schemas.dead_letters import DeadLetter, Reason, Rejected
from undertone.messaging.dead_letters import MAX_COPIED_BYTES, DeadLetterPolicy, dead_letter

REJECTED = Rejected(Reason.EMPTY, "nothing in it")


def record(**fields: Any) -> ConsumerRecord:
    given = dict.fromkeys(ConsumerRecord._fields) | {"topic": "call-audio", "partition": 3, "offset": 7, "headers": []}
    return ConsumerRecord(**given | fields)


def test_a_letter_is_the_message_and_what_was_wrong() -> None:
    key, value, headers = dead_letter(
        record(key=b"k", value=b"v", headers=[("a", b"1"), ("b", None)]), REJECTED, "worker"
    )
    assert (key, value) == (b"k", b"v")
    assert headers[:2] == [("a", b"1"), ("b", b"")]
    told = dict(headers[2:])
    assert told["undertone_reason"] == b"empty"
    assert told["undertone_detail"] == b"nothing in it"
    assert (told["undertone_topic"], told["undertone_partition"], told["undertone_offset"]) == (
        b"call-audio",
        b"3",
        b"7",
    )


def test_a_message_without_key_and_value_is_a_letter_that_can_be_sent() -> None:
    assert dead_letter(record(), REJECTED, "worker")[:2] == (None, b"")
    assert dead_letter(record(key=b"k"), REJECTED, "worker")[:2] == (b"k", None)


@pytest.mark.parametrize("part", ["key", "value", "headers"])
def test_what_the_topic_could_not_take_is_left_where_it_lies(part: str) -> None:
    huge = bytes(MAX_COPIED_BYTES + 1)
    key, value, headers = dead_letter(
        record(**{part: [("h", huge)] if part == "headers" else huge}), REJECTED, "worker"
    )
    assert (key, value) == (None, b"")
    assert b"not copied: 1200" in dict(headers)["undertone_detail"]


def test_a_sender_cannot_say_why_it_was_refused() -> None:
    planted = [("undertone_reason", b"after_end"), ("Undertone_Topic", b"elsewhere"), ("ce_role", b"customer")]
    _, _, headers = dead_letter(record(key=b"k", value=b"v", headers=planted), REJECTED, "worker")
    ours = [(name, value) for name, value in headers if name.lower().startswith("undertone_")]
    assert len(ours) == len(DeadLetter.model_fields)
    assert dict(ours)["undertone_reason"] == b"empty"
    assert headers[:3] == [
        ("sent_undertone_reason", b"after_end"),
        ("sent_Undertone_Topic", b"elsewhere"),
        ("ce_role", b"customer"),
    ]


def test_a_name_that_grows_when_it_is_written_again_is_measured_as_written() -> None:
    # One byte that is no UTF-8 is read as one character, and written as three bytes: more than the topic takes.
    headers = dead_letter(record(headers=[("\ufffd" * 700_000, b"")]), REJECTED, "worker")[2]
    assert sum(len(name.encode()) + len(value) for name, value in headers) < MAX_COPIED_BYTES


def test_a_letter_without_its_value_has_key_headers_and_size() -> None:
    key, value, headers = dead_letter(
        record(key=b"call/customer", value=bytes(800), headers=[("ce_role", b"customer")]),
        REJECTED,
        "worker",
        with_value=False,
    )
    assert (key, value) == (b"call/customer", b"")
    assert headers[0] == ("ce_role", b"customer")
    assert dict(headers)["undertone_detail"] == b"nothing in it (not kept: 800 bytes)"


@pytest.mark.parametrize(
    ("key", "headers", "agents"),
    [
        (b"call/agent", [("ce_role", b"agent")], True),
        (b"call/left", [("CE_Role", b" Agent ")], True),
        (b"call/agent", [("ce_role", b"customer")], False),
        (b"call/customer", [], False),
        (b"call/agent", [], True),
        (b"call/agent-2", [("ce_role", None)], True),
        (b"call/agent-2", [("ce_role", b"\xff")], True),
        (b"agent/customer", [], False),
        (None, [], False),
    ],
)
def test_agents_audio_is_kept_only_where_agents_are_analysed(key: bytes, headers: list, agents: bool) -> None:
    message = record(key=key, value=b"v", headers=headers)
    assert DeadLetterPolicy(agents=False).keeps_value(message) is not agents
    assert DeadLetterPolicy(agents=True).keeps_value(message)
    assert not DeadLetterPolicy(values=False, agents=True).keeps_value(message)
