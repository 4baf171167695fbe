"""Wire encodings against libsndfile's, and there and back."""

import io

import numpy as np
import pytest
import soundfile

from schemas.audio import Encoding
from undertone.acoustics.codecs import decode, decode_all, encode

ALL_SAMPLES = np.arange(-32768, 32768).astype(np.int16)
ALL_CODES = bytes(range(256))
G711 = [(Encoding.PCMU, "ULAW"), (Encoding.PCMA, "ALAW")]


@pytest.mark.parametrize(("encoding", "subtype"), G711)
def test_g711_decodes_every_code_as_libsndfile(encoding: Encoding, subtype: str) -> None:
    expected, _ = soundfile.read(
        io.BytesIO(ALL_CODES), samplerate=8000, channels=1, subtype=subtype, format="RAW", dtype="int16"
    )
    assert np.array_equal(decode(ALL_CODES, encoding), expected)


@pytest.mark.parametrize(("encoding", "subtype"), G711)
def test_g711_encodes_every_sample_as_libsndfile(encoding: Encoding, subtype: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, ALL_SAMPLES, 8000, subtype=subtype, format="RAW")
    assert encode(ALL_SAMPLES, encoding) == file.getvalue()


@pytest.mark.parametrize("encoding", [Encoding.L16, Encoding.L16LE])
def test_l16_is_exact(encoding: Encoding) -> None:
    assert np.array_equal(decode(encode(ALL_SAMPLES, encoding), encoding), ALL_SAMPLES)


def test_l16_is_big_endian_unless_told() -> None:
    assert encode(np.array([258], np.int16), Encoding.L16) == b"\x01\x02"
    assert encode(np.array([258], np.int16), Encoding.L16LE) == b"\x02\x01"


@pytest.mark.parametrize("encoding", list(Encoding))
def test_every_second_sample_encodes_as_its_copy(encoding: Encoding) -> None:
    assert encode(ALL_SAMPLES[::2], encoding) == encode(ALL_SAMPLES[::2].copy(), encoding)
    assert decode(b"", encoding).size == 0


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple"):
        decode(b"\x00\x01\x02", Encoding.L16)


@pytest.mark.parametrize("encoding", Encoding)
def test_pieces_decoded_at_once_are_those_decoded_alone(encoding: Encoding) -> None:
    data = bytes(range(256)) * 3
    pieces = [data[: size * encoding.sample_bytes] for size in (1, 80, 3, 0, 160, 255)]
    alone = [decode(piece, encoding).tolist() for piece in pieces]
    assert [samples.tolist() for samples in decode_all(pieces, encoding)] == alone
    assert [len(samples) for samples in alone] == [1, 80, 3, 0, 160, 255]
