"""Makes hostile messages out of valid ones, seeded: what a broken or a wicked producer may write to `call-audio`."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from schemas.audio import AudioChunk

# Values that have broken parsers before: numbers that are none or too large, moments that are none, other alphabets.
_TEXTS = (
    "", " ", "\x00", "-1", "+1", "1.0", "1e3", "0x10", "NaN", "٣", "²", "1" * 19, "1" * 4000, str(2**53), str(2**63),
    "true ", "TRUE", "yes", "None", "customer\n", "Agent", "\ud7ff", "é" * 200, "%s%n", "{}", "../../etc",
    "2026-01-01", "2026-01-01T00:00:00", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+23:59", "20260101T000000Z",
    "9999-12-31T23:59:59.999999-23:59", "2026-W01-1T00:00:00Z", "2199-12-31T23:59:59Z", "1969-12-31T23:59:59Z",
    "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:60Z", "2026-01-01T00:00:00.0000000001Z",
    "audio/L16", "audio/L16;rate=8000;rate=9", "audio/L16;rate=" + "8" * 500, "audio/PCMU;;;;=", "audio/" + "a;" * 2000,
    "audio/L16;rate=8000;channels=2", "audio/L16LE;rate=8000", "AUDIO/pcma", "audio/PCMU;rate=\"8000\"", "text/plain",
)  # fmt: skip
_NAMES = ("ce_sequence", "CE_SEQUENCE", "undertone_reason", "content-type", "ce_", "", "é", "x" * 1000)

Headers = list[tuple[str, bytes | None]]


@dataclass
class Message:
    """A record's parts before it is one."""

    key: bytes | None
    value: bytes | None
    headers: Headers = field(default_factory=list)


def valid(chunk: AudioChunk) -> Message:
    """The message that a chunk makes."""
    return Message(chunk.stream.encode(), chunk.audio, list(chunk.headers()))


class Mutator:
    """Changes one to four things of a message at a time; the same seed makes the same messages."""

    def __init__(self, chunks: Sequence[AudioChunk], seed: int) -> None:
        self._chunks = chunks
        self._choose = random.Random(seed)
        self._changes: tuple[Callable[[Message], None], ...] = (
            self._flip_value,
            self._cut_value,
            self._replace_value,
            self._flip_key,
            self._replace_key,
            self._drop_header,
            self._repeat_header,
            self._replace_header,
            self._replace_header,
            self._flip_header,
            self._add_header,
            self._swap_headers,
            self._count_up,
        )

    def message(self) -> Message:
        """The next one."""
        message = valid(self._choose.choice(self._chunks))
        for _ in range(self._choose.choice((1, 1, 1, 2, 4))):
            self._choose.choice(self._changes)(message)
        return message

    def _flip(self, data: bytes | None) -> bytes:
        flipped = bytearray(data or b"\x00")
        for _ in range(self._choose.choice((1, 1, 3, 20))):
            flipped[self._choose.randrange(len(flipped))] ^= 1 << self._choose.randrange(8)
        return bytes(flipped)

    def _text(self) -> bytes | None:
        kind = self._choose.random()
        if kind < 0.05:
            return None
        return self._choose.randbytes(self._choose.choice((1, 8, 300))) if kind < 0.15 else self._known_text()

    def _known_text(self) -> bytes:
        return self._choose.choice(_TEXTS).encode("utf-8", "surrogatepass")

    def _flip_value(self, message: Message) -> None:
        message.value = self._flip(message.value)

    def _cut_value(self, message: Message) -> None:
        value = message.value or b""
        message.value = value[: self._choose.randrange(len(value) + 1)]

    def _replace_value(self, message: Message) -> None:
        sizes = (0, 1, 2, 3, 800, 160_001, 320_000, 320_001, 1_000_000)
        size = self._choose.choices(sizes, (8, 8, 8, 8, 8, 1, 1, 1, 1))[0]
        message.value = (
            None if self._choose.random() < 0.1 else self._choose.randbytes(8) * (size // 8) + bytes(size % 8)
        )

    def _flip_key(self, message: Message) -> None:
        message.key = self._flip(message.key)

    def _replace_key(self, message: Message) -> None:
        keys = (
            None,
            b"",
            b"/",
            b"a/",
            b"/a",
            b"a/b/c",
            b"a" * 129 + b"/b",
            b"a/" + b"b" * 33,
            b"\xff/\xff",
            b"call/c\n",
        )
        message.key = self._choose.choice(keys)

    def _drop_header(self, message: Message) -> None:
        if message.headers:
            message.headers.pop(self._choose.randrange(len(message.headers)))

    def _repeat_header(self, message: Message) -> None:
        if message.headers:
            name, _ = self._choose.choice(message.headers)
            message.headers.append((name.swapcase(), self._text()))

    def _replace_header(self, message: Message) -> None:
        if message.headers:
            index = self._choose.randrange(len(message.headers))
            message.headers[index] = (message.headers[index][0], self._text())

    def _flip_header(self, message: Message) -> None:
        if message.headers:
            index = self._choose.randrange(len(message.headers))
            name, value = message.headers[index]
            message.headers[index] = (name, self._flip(value))

    def _add_header(self, message: Message) -> None:
        # A few with thousands of headers: their number is bounded by the record's size alone.
        count = self._choose.choices((1, 2000), (200, 1))[0]
        message.headers += [(self._choose.choice(_NAMES), self._text()) for _ in range(count)]

    def _swap_headers(self, message: Message) -> None:
        if len(message.headers) > 1:
            a, b = self._choose.sample(range(len(message.headers)), 2)
            (name_a, value_a), (name_b, value_b) = message.headers[a], message.headers[b]
            message.headers[a], message.headers[b] = (name_a, value_b), (name_b, value_a)

    def _count_up(self, message: Message) -> None:
        """Numbers that are valid and lie: a jump of years, a step back."""
        number = str(self._choose.choice((0, 1, 10**6, 2**43, 2**44, 2**53 - 1))).encode()
        name = self._choose.choice(("ce_sequence", "ce_firstsample"))
        message.headers = [(n, number if n == name else v) for n, v in message.headers]
