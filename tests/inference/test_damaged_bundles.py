"""Whatever happens to a bundle's bytes on their way, it is refused with one line, or it is the bundle that it was."""

import io
import json
import random
import zipfile
from collections.abc import Callable

import pytest

from schemas.errors import UserError
from undertone.inference.bundle import DEFAULT_BUNDLE, Bundle, read_bundle

MUTATIONS = 120  # of each kind
SHIPPED = DEFAULT_BUNDLE.read_bytes()


def truncated(rng: random.Random) -> bytes:
    return SHIPPED[: rng.randrange(len(SHIPPED))]


def bit_flipped(rng: random.Random) -> bytes:
    data = bytearray(SHIPPED)
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def overwritten(rng: random.Random) -> bytes:
    start = rng.randrange(len(SHIPPED))
    return SHIPPED[:start] + rng.randbytes(rng.randint(0, 500)) + SHIPPED[start + rng.randint(0, 500) :]


def wrong_directory(rng: random.Random) -> bytes:
    """A byte of the first header, or of the directory at the end, is another."""
    data = bytearray(SHIPPED)
    data[rng.choice([rng.randrange(60), len(data) - 1 - rng.randrange(160)])] = rng.randrange(256)
    return bytes(data)


def wrong_checksum(rng: random.Random) -> bytes:
    """A sound zip, whose card or network is not quite the one that was packed."""
    bundle = read_bundle(DEFAULT_BUNDLE)
    parts = {
        "card.json": bytearray(bundle.card.model_dump_json().encode()),
        "model.tflite": bytearray(bundle.flatbuffer),
    }
    part = parts[rng.choice(list(parts))]
    part[rng.randrange(len(part))] ^= 1 << rng.randrange(8)
    return zipped({name: bytes(data) for name, data in parts.items()})


def zipped(parts: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "mutation", [truncated, bit_flipped, overwritten, wrong_directory, wrong_checksum], ids=lambda kind: kind.__name__
)
def test_damage_is_one_line(mutation: Callable[[random.Random], bytes]) -> None:
    network = read_bundle(DEFAULT_BUNDLE).flatbuffer
    for seed in range(MUTATIONS):
        data = mutation(random.Random(seed))
        try:
            bundle = read_bundle(data)
        except UserError as error:
            assert str(error).isprintable(), seed
            assert len(str(error)) < 600, seed
        else:
            assert bundle.flatbuffer == network, seed


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings_are_refused(compression: int) -> None:
    with pytest.raises(UserError, match="neither stored nor deflated"):
        read_bundle(zipped({"card.json": b"{}", "model.tflite": b""}, compression))


@pytest.mark.parametrize(
    ("part", "field", "value", "says"),
    [
        ("front_end", "log_floor", "Infinity", "log_floor"),
        ("front_end", "log_floor", "1e-60", "log_floor"),
        ("front_end", "fmin_hz", "3999.9", "fmin_hz must lie below"),
        ("front_end", "\x1b[2J\n", "1", "Extra inputs"),
        ("calibration", "temperature", "NaN", "temperature"),
        ("network", "batch_sizes", json.dumps([1] * 50), "batch_sizes"),
        ("network", "state_size", "1e12", "state_size"),
    ],
)
def test_cards_without_sense_are_refused(part: str, field: str, value: str, says: str) -> None:
    bundle: Bundle = read_bundle(DEFAULT_BUNDLE)
    fields = json.loads(bundle.card.model_dump_json())
    fields["front_end"]["fmax_hz"] = 3000
    fields[part][field] = "@"
    card = json.dumps(fields).replace('"@"', value)
    with pytest.raises(UserError, match=says) as caught:
        read_bundle(zipped({"card.json": card.encode(), "model.tflite": bundle.flatbuffer}))
    assert str(caught.value).isprintable()
