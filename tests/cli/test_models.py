"""`undertone models`: the card for people, the page in docs/, and a check that no bad bundle passes."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from schemas.errors import UserError
from tests.support.crafted_networks import calls_itself, crafted
from tests.support.paths import ROOT
from undertone.analysis.card_page import card_page
from undertone.analysis.inspection import check_bundle
from undertone.cli.main import app
from undertone.inference.bundle import DEFAULT_BUNDLE, FILTERS, SHIPPED, Bundle, bundle_bytes, read_bundle
from undertone.inference.runtime import Runtime

RESEARCH = ROOT / "docs" / "research"
PAGES = {"default": RESEARCH / "model-card.md", "open": RESEARCH / "model-card-open.md"}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_bundles_pass_every_check(name: str) -> None:
    assert len(list(check_bundle(Path(name)))) == 4


@pytest.mark.parametrize("name", SHIPPED)
def test_the_pages_are_those_of_the_shipped_bundles(name: str) -> None:
    page = PAGES[name].read_text(encoding="utf-8")
    assert page == card_page(read_bundle(Path(name)).card), "stale: run `make docs`"


def test_the_open_bundle_is_of_data_for_any_use() -> None:
    card = read_bundle(Path("open")).card
    assert {part.corpus for part in card.training_data} == {"crema-d", "emodb", "aesdd"}
    assert "Non-commercial" not in card.licence
    result = CliRunner().invoke(app, ["models", "show", "open"])
    assert result.exit_code == 0
    assert card.version in result.output


def test_show_prints_the_card() -> None:
    result = CliRunner().invoke(app, ["models", "show"])
    assert result.exit_code == 0
    card = read_bundle(DEFAULT_BUNDLE).card
    assert card.version in result.output
    assert card.labels[0] in result.output


def rewritten(bundle: Bundle, changes: dict[str, bytes | None]) -> bytes:
    """The bundle's zip with some of its files exchanged or (None) left out."""
    card = bundle.card.model_dump_json().encode()
    parts = {"card.json": card, "model.tflite": bundle.flatbuffer, FILTERS: bundle.filters} | changes
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            if data is not None:
                archive.writestr(name, data)
    return buffer.getvalue()


def card_with(bundle: Bundle, **network: object) -> bytes:
    fields = json.loads(bundle.card.model_dump_json())
    fields["network"] |= network
    return json.dumps(fields).encode()


def test_a_network_that_crashes_its_reader_is_one_line_too(tmp_path: Path) -> None:
    path = tmp_path / "crafted.zip"
    path.write_bytes(crafted(calls_itself))
    with pytest.raises(UserError, match=r"crafted.zip: it ended the process that tried it \(SIGSEGV\)"):
        list(check_bundle(path))


@pytest.mark.parametrize("kind", ["no zip", "no card", "no network", "flipped bit", "huge", "other state", "bad card"])
def test_a_bad_bundle_fails_with_one_line(tmp_path: Path, kind: str) -> None:
    bundle = read_bundle(DEFAULT_BUNDLE)
    flipped = bytearray(bundle.flatbuffer)
    flipped[len(flipped) // 2] ^= 1
    value = {
        "no zip": b"hello",
        "no card": rewritten(bundle, {"card.json": None}),
        "no network": rewritten(bundle, {"model.tflite": None}),
        "flipped bit": rewritten(bundle, {"model.tflite": bytes(flipped)}),
        "huge": rewritten(bundle, {"model.tflite": b"\0" * 5_000_000}),
        "other state": rewritten(bundle, {"card.json": card_with(bundle, state_size=7)}),
        "bad card": rewritten(bundle, {"card.json": card_with(bundle, state_size=10**9)}),
    }[kind]
    path = tmp_path / "bad.zip"
    path.write_bytes(value)
    with pytest.raises(UserError) as caught:
        list(check_bundle(path))
    assert "\n" not in str(caught.value)


def test_a_network_that_remembers_silence_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine skips silent blocks, so a network whose state moves in them would hear otherwise in a batch."""
    bundle = read_bundle(DEFAULT_BUNDLE)
    path = tmp_path / "model.zip"
    path.write_bytes(bundle_bytes(bundle))
    run = check_bundle.__globals__["Runtime"].run

    def moves(
        self: Runtime, features: NDArray[np.float32], speech: NDArray[np.float32], state: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, after = run(self, features, speech, state)
        return logits, after + 1e-3

    monkeypatch.setattr(check_bundle.__globals__["Runtime"], "run", moves)
    with pytest.raises(UserError, match="silence changes"):
        list(check_bundle(path))
