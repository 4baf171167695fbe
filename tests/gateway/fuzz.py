"""python -m tests.gateway.fuzz: mutated messages through each parser of the gateway.

Each must be read, or be told to be malformed or refused. Whatever else is raised would end a wire; a message that takes
seconds is a hang; memory that grows is a leak. A parser joins with one line in `TARGETS`.
"""

import argparse
import faulthandler
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.chaos.fuzz import rss_bytes
from tests.gateway.fuzz_asterisk import asterisk
from tests.gateway.fuzz_audiohook import audiohook, audiohook_signature
from tests.gateway.fuzz_audiosocket import audiosocket
from tests.gateway.fuzz_rtp import rtcp_packets, rtp_packets
from tests.gateway.fuzz_target import Target
from tests.gateway.fuzz_websocket import exotel, microphone, mod_audio_stream, plivo, telnyx, twilio
from undertone.gateway.refusals import MalformedMessage, Refused

TARGETS: dict[str, Callable[[], Target]] = {
    "asterisk": asterisk,
    "audiohook": audiohook,
    "audiohook_signature": audiohook_signature,
    "audiosocket": audiosocket,
    "exotel": exotel,
    "microphone": microphone,
    "mod_audio_stream": mod_audio_stream,
    "plivo": plivo,
    "telnyx": telnyx,
    "twilio": twilio,
    "rtp": rtp_packets,
    "rtcp": rtcp_packets,
}

_HANG_S = 120  # for 200 messages, on a machine that has much else to do
_BATCH = 200
_MAX_GROWTH = 64 * 1024 * 1024
_KEPT = 5
# What has broken parsers before: numbers that are none or too large, other alphabets, depth.
_TOKENS = (
    b"", b"null", b"-1", b"1e999", b"NaN", b"0x10", b"9" * 400, b'""', b"[]", b"{}", b"[" * 2_000, b"\x00", b"\xff\xfe",
    b"true", b'"\\ud800"', "٣".encode(), "é".encode() * 200, b"A" * 70_000, b"=", b"%s%n", b"\r\n\r\n",
    b'"', b",", b":",
)  # fmt: skip


class Mutator:
    """Changes one to four places of a message; the same seed makes the same messages."""

    def __init__(self, seeds: Sequence[bytes], seed: int) -> None:
        self._seeds = seeds
        self._choose = random.Random(seed)
        self._changes = (self._flip, self._flip, self._cut, self._remove, self._insert, self._repeat, self._splice)

    def message(self) -> bytes:
        """The next one; one in a hundred is as it was."""
        message = self._choose.choice(self._seeds)
        for _ in range(self._choose.choice((1, 1, 1, 2, 4)) if self._choose.random() > 0.01 else 0):
            message = self._choose.choice(self._changes)(message)
        return message

    def _place(self, message: bytes) -> int:
        return self._choose.randrange(len(message) + 1)

    def _flip(self, message: bytes) -> bytes:
        flipped = bytearray(message or b"\0")
        for _ in range(self._choose.choice((1, 1, 3, 20))):
            flipped[self._choose.randrange(len(flipped))] ^= 1 << self._choose.randrange(8)
        return bytes(flipped)

    def _cut(self, message: bytes) -> bytes:
        return message[: self._place(message)]

    def _remove(self, message: bytes) -> bytes:
        start = self._place(message)
        return message[:start] + message[start + self._choose.choice((1, 2, 4, 40)) :]

    def _insert(self, message: bytes) -> bytes:
        place = self._place(message)
        token = self._choose.choice(_TOKENS) if self._choose.random() < 0.7 else self._choose.randbytes(8)
        return message[:place] + token + message[place + self._choose.choice((0, 0, len(token))) :]

    def _repeat(self, message: bytes) -> bytes:
        start, stop = sorted((self._place(message), self._place(message)))
        return message[:stop] + message[start:stop] * self._choose.choice((1, 2, 9)) + message[stop:]

    def _splice(self, message: bytes) -> bytes:
        other = self._choose.choice(self._seeds)
        return message[: self._place(message)] + other[self._place(other) :]


@dataclass
class Outcome:
    """What became of one parser's messages."""

    read: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    slowest_ms: float = 0.0
    growth: int = 0


def fuzz(target: Target, messages: int, seed: int) -> Outcome:
    """Let `messages` mutated messages through a parser."""
    mutator, outcome = Mutator(target.seeds, seed), Outcome()
    warm, before = messages // 5, 0
    for number in range(messages):
        if number == warm:
            before = rss_bytes()
        if number % _BATCH == 0:
            faulthandler.dump_traceback_later(_HANG_S, exit=True)
        _take(target, mutator.message(), outcome)
    faulthandler.cancel_dump_traceback_later()
    outcome.growth = rss_bytes() - before
    return outcome


def _take(target: Target, message: bytes, outcome: Outcome) -> None:
    start = time.monotonic()
    try:
        target.take(message)
        outcome.read += 1
    except MalformedMessage as error:
        outcome.refused["malformed"] += 1
        if "\n" in str(error) or len(str(error)) > 500:
            outcome.crashes.append(f"not one line: {str(error)[:1000]!r}")
    except Refused as refused:
        outcome.refused[refused.reason.value] += 1
    except Exception as error:
        if len(outcome.crashes) < _KEPT:
            outcome.crashes.append(f"{error!r} on {message[:2000]!r}")
    outcome.slowest_ms = max(outcome.slowest_ms, 1000 * (time.monotonic() - start))


def main() -> int:
    """Fuzz, print one JSON line for each parser."""
    parser = argparse.ArgumentParser(prog="python -m tests.gateway.fuzz", description=__doc__)
    parser.add_argument("parsers", nargs="*", metavar="PARSER", help=f"default: all of {', '.join(TARGETS)}")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    passed = True
    for name in options.parsers or TARGETS:
        start = time.monotonic()
        outcome = fuzz(TARGETS[name](), options.messages, options.seed)
        good = not outcome.crashes and outcome.growth < _MAX_GROWTH
        passed &= good
        said = {
            "parser": name,
            "messages": options.messages,
            "read": outcome.read,
            "refused": dict(outcome.refused.most_common()),
            "crashes": outcome.crashes,
            "slowest_ms": round(outcome.slowest_ms, 1),
            "rss_growth_mib": round(outcome.growth / 2**20, 1),
            "seconds": round(time.monotonic() - start),
            "seed": options.seed,
            "passed": good,
        }
        sys.stdout.write(json.dumps(said) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
