"""AudioSocket's parser for the fuzzer: a connection's bytes, which come in pieces of any length."""

import random

import numpy as np

from tests.gateway.fuzz_target import Target
from undertone.gateway.audiosocket_messages import RATES, Kind, Parser, encode_message

_MAX_BYTES = 4_000


def audiosocket() -> Target:
    """Short calls at each rate."""
    choose = random.Random(1)
    seeds = []
    for kind in RATES:
        audio = [encode_message(kind, choose.randbytes(320)) for _ in range(3)]
        seeds.append(encode_message(Kind.UUID, choose.randbytes(16)) + b"".join(audio) + encode_message(Kind.END))
    seeds.append(
        encode_message(Kind.UUID, bytes(16)) + encode_message(Kind.DTMF, b"5") + encode_message(Kind.ERROR, b"1")
    )

    def take(data: bytes) -> None:
        parser, start = Parser(_MAX_BYTES), 0
        while start < len(data):
            size = choose.choice((1, 2, 3, 100, 1000))
            for message in parser.feed(data[start : start + size]):
                assert len(message.payload) <= _MAX_BYTES
                assert message.kind not in RATES or len(np.frombuffer(message.payload, "<i2")) >= 0
            start += size
        assert len(parser._rest) < _MAX_BYTES + 3

    return Target(seeds, take)
