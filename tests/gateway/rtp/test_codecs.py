"""Payload types and their decoders."""

import numpy as np
import pytest

from schemas.audio import Encoding
from schemas.errors import UserError
from undertone.acoustics.codecs import encode
from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.rtp.codecs import STATIC, Format, PayloadType, decoder, payload_types

ALL_CODES = bytes(range(256))


def test_the_static_types_are_those_of_rfc_3551() -> None:
    types = payload_types("")
    told = {number: (str(kind.format), kind.clock_rate, kind.rate, kind.channels) for number, kind in types.items()}
    assert told == {
        0: ("PCMU", 8000, 8000, 1),
        8: ("PCMA", 8000, 8000, 1),
        9: ("G722", 8000, 16000, 1),
        10: ("L16", 44100, 44100, 2),
        11: ("L16", 44100, 44100, 1),
        13: ("CN", 8000, 8000, 1),
        101: ("telephone-event", 8000, 8000, 1),
    }


def test_dynamic_types_are_set_as_in_sdp() -> None:
    types = payload_types("96=L16/16000/1, 97=l16/48000/2,101=PCMU/16000,100=telephone-event/8000,")
    assert types[96] == PayloadType(Format.L16, 16000)
    assert types[97] == PayloadType(Format.L16, 48000, 2)
    assert types[101] == PayloadType(Format.PCMU, 16000)
    assert not types[100].is_audio
    assert types[0] == STATIC[0]


@pytest.mark.parametrize(
    "setting",
    [
        "96",
        "96=OPUS/48000/2",
        "96=L16",
        "128=L16/8000",
        "72=L16/8000",
        "96=L16/1",
        "96=L16/8000/3",
        "96=PCMU/8000/2",
        "96=G722/16000",
        "x=L16/8000",
        "96=L16/8000/1/1",
    ],
)
def test_other_settings_are_refused_in_one_line(setting: str) -> None:
    with pytest.raises(UserError, match="--rtp-payload") as raised:
        payload_types(setting)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("number", [0, 8])
def test_g711_comes_out_with_the_codes_that_came_in(number: int) -> None:
    samples = decoder(STATIC[number])(ALL_CODES)
    assert samples.shape == (256, 1)
    again = encode(np.ascontiguousarray(samples[:, 0]), STATIC[number].encoding)
    # Mu-law has two zeros; one of them comes back as the other.
    assert sum(a != b for a, b in zip(again, ALL_CODES, strict=True)) <= 1


def test_l16_is_big_endian_and_interleaved() -> None:
    decode = decoder(STATIC[10])
    assert decode(b"\x01\x02\xff\xfe\x00\x03\x80\x00").tolist() == [[0x102, -2], [3, -32768]]
    with pytest.raises(MalformedMessage):
        decode(bytes(6))


def test_g722_keeps_its_state_from_packet_to_packet() -> None:
    data = np.random.default_rng(1).integers(0, 256, 1600, np.uint8).tobytes()
    whole = decoder(STATIC[9])(data)
    decode = decoder(STATIC[9])
    pieces = np.concatenate([decode(data[start : start + 160]) for start in range(0, 1600, 160)])
    assert whole.shape == (3200, 1)
    assert (whole == pieces).all()
    assert decode(b"").shape == (0, 1)


def test_a_stream_goes_on_only_with_samples_that_it_can_hold() -> None:
    assert PayloadType(Format.L16, 16000).goes_on(STATIC[9])
    assert STATIC[9].encoding is Encoding.L16
    assert not STATIC[8].goes_on(STATIC[0])
    assert not STATIC[9].goes_on(STATIC[0])
    assert not STATIC[10].goes_on(STATIC[11])
