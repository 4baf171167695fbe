"""Reading `call-audio`: what is refused, with which reason, and that nothing else can happen for any bytes."""

import gc
import weakref
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.audio import MAX_CHUNK_BYTES, AudioChunk, Encoding, Role, content_type, parse_content_type
from schemas.dead_letters import Reason, Rejected
from schemas.events import EventEnvelope, Summary

GOOD = {
    "ce_specversion": b"1.0",
    "ce_id": b"1",
    "ce_source": b"/pbx",
    "ce_type": b"undertone.audio.chunk.v1",
    "ce_role": b"customer",
    "ce_sequence": b"0",
    "ce_firstsample": b"0",
    "ce_starttime": b"2026-03-01T09:30:00Z",
    "content-type": b"audio/L16;rate=8000",
}


def read(key: bytes | None = b"call/customer", value: bytes | None = b"\0\0", **changes: bytes | None) -> AudioChunk:
    fields = GOOD | {name.replace("content_type", "content-type"): change for name, change in changes.items()}
    return AudioChunk.from_record(key, value, [(name, text) for name, text in fields.items() if text is not None])


# Half of the draws are nearly right, so that every check behind the first is reached as well.
near = st.sampled_from(
    [
        b"", b"1.0", b"1", b"undertone.audio.chunk.v1", b"customer", b"agent", b"-1", b"9" * 18, b"9" * 40, b"\xff",
        b"2026-03-01T09:30:00Z", b"2026-03-01T09:30:00", b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59",
        b"20260301T093000Z", b"2026-W09-7", b"true", b"audio/L16;rate=8000", b"audio/PCMU", b"audio/L16;rate=1e4",
        b"AUDIO/l16 ; RATE = 16000 ; channels=1", b"audio/L16;;;=;rate", "\u0664\u0662".encode(), b"a/b",
    ]
)  # fmt: skip
names = st.sampled_from([*GOOD, "ce_endofstream", "ce_subject", "CE_ROLE", "traceparent"]) | st.text(max_size=5)
values = near | st.binary(max_size=40) | st.text(max_size=20).map(str.encode) | st.none()


@settings(max_examples=1000)
@given(
    key=st.sampled_from([b"call/customer", b"call", b"/", b"a/b/c", None]) | st.binary(max_size=200),
    value=st.binary(max_size=64) | st.none(),
    keep=st.sets(st.sampled_from(sorted(GOOD)), min_size=7),
    others=st.lists(st.tuples(names, values), max_size=4),
)
def test_any_bytes_are_a_chunk_or_rejected(
    key: bytes | None, value: bytes | None, keep: set[str], others: list[tuple[str, bytes]]
) -> None:
    headers = [(name, text) for name, text in GOOD.items() if name in keep] + others
    try:
        chunk = AudioChunk.from_record(key, value, headers)  # clients do pass None
    except Rejected as rejected:
        assert rejected.detail.isprintable()
        assert len(rejected.detail) <= 200
    else:
        again = AudioChunk.from_record(chunk.stream.encode(), chunk.audio, chunk.headers())
        assert again == chunk


@given(
    start=st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2199, 12, 30), timezones=st.just(UTC)),
    first=st.integers(0, 2**44 - 1),
    rate=st.sampled_from([8000, 16000]),
)
def test_every_accepted_chunk_has_a_moment(start: datetime, first: int, rate: int) -> None:
    """An event at the very end of what a chunk may claim still has a time: no arithmetic error in the worker."""
    chunk = AudioChunk(
        call_id="c", channel="x", role=Role.CUSTOMER, sequence=0, first_sample=first, start_time=start,
        encoding=Encoding.PCMU, sample_rate=rate, audio=bytes(80000),
    )  # fmt: skip
    summary = Summary(
        call_id="c", channel="x", role=Role.CUSTOMER, start_sample=0, end_sample=first + 80000, sample_rate=rate,
        label="no-speech", probabilities={}, speech_s=0, level_dbfs=None, pitch_hz=None, model_version="m",
        ended_by="end", segments=0,
    )  # fmt: skip
    assert EventEnvelope.around(summary, chunk.start_time).time >= start


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"key": None}, Reason.INVALID_KEY),
        ({"key": b"call-without-channel"}, Reason.INVALID_KEY),
        ({"key": b"bad id/customer"}, Reason.INVALID_HEADER),
        ({"ce_subject": b"other/customer"}, Reason.INVALID_KEY),
        ({"ce_role": None}, Reason.MISSING_HEADER),
        ({"content_type": None}, Reason.MISSING_HEADER),
        ({"ce_specversion": b"0.3"}, Reason.INVALID_HEADER),
        ({"ce_type": b"other"}, Reason.INVALID_HEADER),
        ({"ce_role": b"boss"}, Reason.INVALID_HEADER),
        ({"ce_sequence": b"-1"}, Reason.INVALID_HEADER),
        ({"ce_sequence": b"1" * 18}, Reason.INVALID_HEADER),
        ({"ce_firstsample": b"0x10"}, Reason.INVALID_HEADER),
        ({"ce_starttime": b"yesterday"}, Reason.INVALID_HEADER),
        ({"ce_starttime": b"2026-03-01T09:30:00"}, Reason.INVALID_HEADER),
        ({"ce_starttime": b"9999-12-31T23:59:59Z"}, Reason.INVALID_HEADER),
        ({"ce_endofstream": b"maybe"}, Reason.INVALID_HEADER),
        ({"ce_source": b"\xff"}, Reason.INVALID_HEADER),
        ({"content_type": b"audio/mpeg"}, Reason.UNSUPPORTED_CONTENT_TYPE),
        ({"content_type": b"audio/L16;rate=8000;channels=2"}, Reason.UNSUPPORTED_CONTENT_TYPE),
        ({"content_type": b"audio/L16;rate=8000;endianness=pdp"}, Reason.UNSUPPORTED_CONTENT_TYPE),
        ({"content_type": b"audio/L16"}, Reason.UNSUPPORTED_RATE),
        ({"content_type": b"audio/L16;rate=44100"}, Reason.UNSUPPORTED_RATE),
        ({"value": b"\0\0\0"}, Reason.ODD_BYTE_COUNT),
        ({"value": b""}, Reason.EMPTY),
        ({"value": None}, Reason.EMPTY),
        ({"value": bytes(MAX_CHUNK_BYTES + 2)}, Reason.TOO_LARGE),
        ({"value": bytes(160_002)}, Reason.TOO_LARGE),
    ],
)  # fmt: skip
def test_reasons(changes: dict[str, bytes | None], reason: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        read(**changes)
    assert caught.value.reason is reason


class Batch(list[Rejected]):
    """What a caller keeps of the messages that were refused; a list itself takes no weak reference."""


@pytest.mark.parametrize(
    "changes",
    [
        {"ce_starttime": b"1950-01-01T00:00:00Z"},
        {"ce_starttime": b"yesterday"},
        {"ce_role": b"boss"},
        {"ce_firstsample": b"9" * 18},
        {"ce_source": b"\xff"},
        {"content_type": b"audio/mpeg"},
        {"value": b"\0\0\0"},
        {"key": b"bad id/customer"},
    ],
)
def test_nothing_is_left_of_a_message_that_was_refused(changes: dict[str, bytes | None]) -> None:
    def refused() -> weakref.ref[Batch]:
        batch = Batch()
        try:
            read(**changes)
        except Rejected as rejected:
            batch.append(rejected)
        assert batch
        return weakref.ref(batch)

    left = refused()
    gc.collect()
    assert left() is None


def test_ten_seconds_are_accepted_at_both_rates() -> None:
    assert read(value=bytes(160_000)).samples == 80_000
    assert read(value=bytes(MAX_CHUNK_BYTES), content_type=b"audio/L16;rate=16000").samples == 160_000


def test_an_empty_last_chunk_is_accepted() -> None:
    assert read(value=None, ce_endofstream=b"true").samples == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("audio/L16;rate=8000", (Encoding.L16, 8000)),
        ("audio/l16; rate=16000; channels=1", (Encoding.L16, 16000)),
        ("Audio/L16;rate=8000;endianness=little-endian", (Encoding.L16LE, 8000)),
        ("audio/L16;rate=8000;endianness=big-endian", (Encoding.L16, 8000)),
        ("audio/PCMU", (Encoding.PCMU, 8000)),
        ('audio/PCMA;rate="16000"', (Encoding.PCMA, 16000)),
    ],
)
def test_content_types(text: str, expected: tuple[Encoding, int] | None) -> None:
    assert parse_content_type(text) == expected


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("rate", [8000, 16000])
def test_content_types_round_trip(encoding: Encoding, rate: int) -> None:
    ours = content_type(encoding, rate)
    # The first is looked up, the second is taken to pieces.
    assert parse_content_type(ours) == parse_content_type(f" {ours}") == (encoding, rate)


def test_one_moment_has_one_spelling() -> None:
    here = read(ce_starttime=b"2026-03-01T10:30:00+01:00")
    assert here.start_time == read().start_time
    assert here.headers() == read().headers()
    assert here.start_time.tzinfo != timezone(timedelta(hours=1))


def test_an_unprintable_header_gives_one_printable_line() -> None:
    with pytest.raises(Rejected) as caught:
        read(ce_role=("\x1b[2J\n" + "x" * 10_000).encode())
    assert caught.value.detail.isprintable()
    assert len(caught.value.detail) <= 200


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        (b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", True),
        (b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", False),
        (b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", False),
        (b"00-00000000000000000000000000000000-00f067aa0ba902b7-01", False),
        (b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", False),
        (b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", False),
        (b"nonsense", False),
        (b"", False),
        (None, False),
    ],
)
def test_a_traceparent_is_taken_or_ignored(text: bytes | None, taken: bool) -> None:
    chunk = read(traceparent=text)
    assert chunk.traceparent == (text.decode() if taken and text else None)
    # It is written as it was read, and no header is written for none.
    assert dict(chunk.headers()).get("traceparent") == (text if taken else None)
    assert AudioChunk.from_record(b"call/customer", chunk.audio, chunk.headers()) == chunk
