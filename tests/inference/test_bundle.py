"""A bundle is read as a hostile file: every damage is one line, and a good one comes back as it was."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import UserError
from undertone.inference.bundle import DEFAULT_BUNDLE, MAX_BUNDLE_BYTES, Bundle, bundle_bytes, read_bundle
from undertone.inference.runtime import Runtime


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(DEFAULT_BUNDLE)


def zipped(**parts: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name.replace("_", "."), data)
    return buffer.getvalue()


def test_a_bundle_comes_back_as_it_was(bundle: Bundle) -> None:
    data = bundle_bytes(bundle.card, bundle.flatbuffer)
    again = read_bundle(data)
    assert (again.card, again.flatbuffer) == (bundle.card, bundle.flatbuffer)
    assert bundle_bytes(again.card, again.flatbuffer) == data


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
        bundle_bytes(bundle.card, flipped)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_bundle(tmp_path / "absent.zip")
    with pytest.raises(UserError, match="not a model bundle"):
        read_bundle(tmp_path)


def with_card(bundle: Bundle, flatbuffer: bytes, **changes: object) -> Bundle:
    fields = json.loads(bundle.card.model_dump_json())
    fields["network"] |= {"sha256": hashlib.sha256(flatbuffer).hexdigest(), "size": len(flatbuffer), **changes}
    return read_bundle(zipped(card_json=json.dumps(fields).encode(), model_tflite=flatbuffer))


def test_flatbuffers_that_are_none_are_refused(bundle: Bundle) -> None:
    with pytest.raises(UserError, match="cannot run the network"):
        Runtime(with_card(bundle, b"not a flatbuffer"))


def test_shapes_that_the_card_does_not_name_are_refused(bundle: Bundle) -> None:
    with pytest.raises(UserError, match="cannot run the network"):
        Runtime(with_card(bundle, bundle.flatbuffer, state_size=bundle.card.network.state_size - 1))
    with pytest.raises(UserError, match="cannot run the network"):
        Runtime(with_card(bundle, bundle.flatbuffer, batch_sizes=[1, 16]))


def test_batches_do_not_show(bundle: Bundle) -> None:
    """43 streams, in batches of 32, 8 and 1: the same bits as each alone."""
    runtime, card, rng = Runtime(bundle), bundle.card, np.random.default_rng(0)
    frames = card.front_end.context_frames + card.front_end.frames_per_block
    features = rng.normal(-8, 3, (43, frames, card.front_end.n_mels)).astype(np.float32)
    speech = rng.integers(0, 2, (43, 5)).astype(np.float32)
    state = np.abs(rng.normal(0, 1, (43, card.network.state_size))).astype(np.float32)
    together = runtime.run(features, speech, state)
    for n in range(43):
        alone = runtime.run(features[n : n + 1], speech[n : n + 1], state[n : n + 1])
        assert np.array_equal(alone[0][0], together[0][n])
        assert np.array_equal(alone[1][0], together[1][n])
