"""A bundle is read as a hostile file: every damage is one line, and a good one comes back as it was."""

import hashlib
import io
import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import UserError
from undertone.acoustics.spectrum import mel_bands
from undertone.inference.bundle import (
    DEFAULT_BUNDLE,
    FILTERS,
    MAX_BUNDLE_BYTES,
    Bundle,
    bundle_bytes,
    filter_bank,
    read_bundle,
    with_filter_bank,
)
from undertone.inference.model import Model
from undertone.inference.runtime import Runtime


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(DEFAULT_BUNDLE)


def zipped(*, filters: bytes | None = None, **parts: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name.replace("_", "."), data)
        if filters is not None:
            archive.writestr(FILTERS, filters)
    return buffer.getvalue()


def test_a_bundle_comes_back_as_it_was(bundle: Bundle) -> None:
    data = bundle_bytes(bundle)
    again = read_bundle(data)
    assert (again.card, again.flatbuffer, again.filters) == (bundle.card, bundle.flatbuffer, bundle.filters)
    assert bundle_bytes(again) == data == DEFAULT_BUNDLE.read_bytes()


def test_the_shipped_card_is_complete(bundle: Bundle) -> None:
    card = bundle.card
    assert card.network.parameters <= 300_000
    assert card.network.batch_sizes == (1, 8, 32)
    assert card.licence
    assert card.intended_use
    assert card.limitations
    assert all(data.licence for data in card.training_data)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (b"", "not a model bundle"),
        (b"PK\x03\x04 but not a zip", "not a model bundle"),
        (zipped(card_json=b"{}"), "no model.tflite in it"),
        (zipped(card_json=b"{}", model_tflite=b""), "card.json: name: Field required"),
        (zipped(card_json=b"not json", model_tflite=b""), "Invalid JSON"),
        (zipped(card_json=b" " * 300_000, model_tflite=b""), "card.json is larger than"),
        (bytes(MAX_BUNDLE_BYTES + 1), "more than the"),
    ],
    ids=["empty", "no zip", "no flatbuffer", "no fields", "no json", "zip bomb", "too large"],
)
def test_damaged_bundles_are_one_line(damage: bytes, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        read_bundle(damage)
    assert "\n" not in str(caught.value)


def test_a_wrong_checksum_is_refused(bundle: Bundle) -> None:
    flipped = bytes([*bundle.flatbuffer[:-1], bundle.flatbuffer[-1] ^ 1])
    data = zipped(card_json=bundle.card.model_dump_json().encode(), model_tflite=flipped)
    with pytest.raises(UserError, match="does not match the card's sha256"):
        read_bundle(data)
    with pytest.raises(ValueError, match="another flatbuffer"):
        bundle_bytes(replace(bundle, flatbuffer=flipped))


def test_the_shipped_filters_are_librosas(bundle: Bundle) -> None:
    spec, filters = bundle.card.front_end, filter_bank(bundle)
    assert filters is not None
    assert np.array_equal(filters, mel_bands(spec.n_mels, spec.fmin_hz, spec.fmax_hz))
    assert with_filter_bank(bundle) == bundle


def test_a_bundle_of_before_filters_is_heard_the_same(bundle: Bundle) -> None:
    fields = json.loads(bundle.card.model_dump_json(exclude={"filter_bank"}))
    older = read_bundle(zipped(card_json=json.dumps(fields).encode(), model_tflite=bundle.flatbuffer))
    assert filter_bank(older) is None
    windows = np.random.default_rng(0).integers(-9000, 9000, (3, 27 * 100 + 156), np.int16)
    ours, theirs = (Model.of(one).front_end.compute(windows, 8000) for one in (bundle, older))
    assert np.array_equal(ours, theirs)


def test_without_librosa_such_a_bundle_is_one_line(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "librosa", None)
    mel_bands.cache_clear()
    with pytest.raises(UserError, match="made by librosa: run `make install`"):
        Model(bundle.card, Runtime(bundle))
    Model.of(bundle)


def with_filters(bundle: Bundle, filters: bytes) -> bytes:
    fields = json.loads(bundle.card.model_dump_json())
    fields["filter_bank"] = {"sha256": hashlib.sha256(filters).hexdigest(), "size": len(filters)}
    return zipped(card_json=json.dumps(fields).encode(), model_tflite=bundle.flatbuffer, filters=filters)


def test_filters_that_are_none_are_refused(bundle: Bundle) -> None:
    shipped = bundle.filters or b""
    card = bundle.card.model_dump_json().encode()
    with pytest.raises(UserError, match=f"no {FILTERS} in it"):
        read_bundle(zipped(card_json=card, model_tflite=bundle.flatbuffer))
    with pytest.raises(UserError, match=f"{FILTERS} does not match the card's sha256"):
        read_bundle(zipped(card_json=card, model_tflite=bundle.flatbuffer, filters=shipped[::-1]))
    with pytest.raises(UserError, match=f"{FILTERS} is larger than"):
        read_bundle(zipped(card_json=card, model_tflite=bundle.flatbuffer, filters=bytes(200_000)))
    with pytest.raises(UserError, match="does not hold 64 filters of 129 numbers"):
        read_bundle(with_filters(bundle, shipped[4:]))
    for number in (np.nan, np.inf, -0.5, 1.5):
        with pytest.raises(UserError, match="not between 0 and 1"):
            read_bundle(with_filters(bundle, shipped[4:] + np.float32(number).tobytes()))
    with pytest.raises(ValueError, match="another filter bank"):
        bundle_bytes(replace(bundle, filters=shipped[::-1]))
    with pytest.raises(ValueError, match="another filter bank"):
        bundle_bytes(replace(bundle, filters=None))


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_bundle(tmp_path / "absent.zip")
    with pytest.raises(UserError, match="not a model bundle"):
        read_bundle(tmp_path)


def with_card(bundle: Bundle, flatbuffer: bytes, **changes: object) -> Bundle:
    fields = json.loads(bundle.card.model_dump_json())
    fields["network"] |= {"sha256": hashlib.sha256(flatbuffer).hexdigest(), "size": len(flatbuffer), **changes}
    return read_bundle(zipped(card_json=json.dumps(fields).encode(), model_tflite=flatbuffer, filters=bundle.filters))


def test_flatbuffers_that_are_none_are_refused(bundle: Bundle) -> None:
    with pytest.raises(UserError, match="cannot run the network"):
        Runtime(with_card(bundle, b"not a flatbuffer"))


def test_shapes_that_the_card_does_not_name_are_refused(bundle: Bundle) -> None:
    with pytest.raises(UserError, match="cannot run the network"):
        Runtime(with_card(bundle, bundle.flatbuffer, state_size=bundle.card.network.state_size - 1))
    with pytest.raises(UserError, match="cannot run the network"):
        Runtime(with_card(bundle, bundle.flatbuffer, batch_sizes=[1, 16]))


def test_batches_do_not_show(bundle: Bundle) -> None:
    """43 streams, in batches of 32, 8 and 1, and 30 in one that is not full: the same bits as each alone."""
    runtime, card, rng = Runtime(bundle), bundle.card, np.random.default_rng(0)
    frames = card.front_end.context_frames + card.front_end.frames_per_block
    features = rng.normal(-8, 3, (43, frames, card.front_end.n_mels)).astype(np.float32)
    speech = rng.integers(0, 2, (43, 5)).astype(np.float32)
    state = np.abs(rng.normal(0, 1, (43, card.network.state_size))).astype(np.float32)
    together = runtime.run(features, speech, state)
    thirty = runtime.run(features[:30], speech[:30], state[:30])
    assert all(np.array_equal(found, expected[:30]) for found, expected in zip(thirty, together, strict=True))
    for n in range(43):
        alone = runtime.run(features[n : n + 1], speech[n : n + 1], state[n : n + 1])
        assert np.array_equal(alone[0][0], together[0][n])
        assert np.array_equal(alone[1][0], together[1][n])
