"""The model card: its version, how a model came about in words, and cards of before."""

import json

import pytest
from pydantic import ValidationError

from schemas.aliases import Alias
from schemas.card import CallerSpec, Lineage, ModelCard
from undertone.inference.bundle import DEFAULT_BUNDLE, read_bundle


def test_lineage_is_told_as_far_as_it_is_known() -> None:
    alone = Lineage(code="0.2.0", seed=7)
    assert alone.told() == "started from nothing, seed 7, Undertone 0.2.0"
    whole = Lineage(code="0.2.0", seed=0, started_from="a-1", snapshot="3f2a", parent="b-2")
    assert whole.told() == "started from a-1, seed 0, Undertone 0.2.0, labels' snapshot 3f2a, after b-2"


def test_a_card_without_it_is_read_and_written_as_it_was() -> None:
    shipped = read_bundle(DEFAULT_BUNDLE).card
    assert shipped.lineage is None
    assert "lineage" not in shipped.model_dump_json()
    known = shipped.model_copy(update={"lineage": Lineage(code="0.2.0", seed=7)})
    assert ModelCard.model_validate_json(known.model_dump_json()) == known


def test_a_card_without_lineage_and_reference_is_written_as_before() -> None:
    bare = read_bundle(DEFAULT_BUNDLE).card.model_copy(update={"reference": None})
    assert not {"lineage", "reference"} & json.loads(bare.model_dump_json()).keys()


@pytest.mark.parametrize("alias", list(Alias))
def test_no_version_is_named_as_an_alias_is(alias: Alias) -> None:
    """`undertone models promote challenger` would promote another one."""
    card = read_bundle(DEFAULT_BUNDLE).card.model_copy(update={"version": alias})
    with pytest.raises(ValidationError, match=f"{alias} is an alias, and no version"):
        ModelCard.model_validate_json(card.model_dump_json())


def test_a_callers_memory_is_kept_for_other_labels_where_they_have_what_is_usual() -> None:
    memory = CallerSpec(weight=0.5, normal={"angry": 0.0, "neutral": 2.0, "calm": 1.0})
    kept = memory.for_labels(("angry", "neutral", "puzzled"))
    assert kept == CallerSpec(weight=0.5, normal={"angry": 0.0, "neutral": 2.0, "puzzled": 0.0})
    assert memory.for_labels(("angry", "puzzled")) is None
