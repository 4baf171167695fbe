"""Utterances as `fit` takes them."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.voices import write_corpus
from trainer.data.corpora import load
from trainer.data.dataset import read
from trainer.data.preprocessing import Preprocessing


def test_files_of_a_corpus_are_drawn_as_often_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_CACHE_DIR", str(tmp_path / "cache"))
    calls = write_corpus(tmp_path / "calls", ("frustrated", "satisfied"), range(2), 1)
    studio = calls.with_name("studio.csv")
    studio.write_text(calls.read_text().replace("_0.wav", "_1.wav"))
    write_corpus(tmp_path / "calls", ("frustrated", "satisfied"), range(2), 2)
    dataset = read(load([studio, calls]), Preprocessing.default(7))
    rows = range(len(dataset.utterances))
    assert dataset.clips(rows).weights.tolist() == [1] * len(rows)
    weighted = replace(dataset, weights={"studio": 3.0}).clips(rows).weights
    assert weighted.tolist() == [3.0 if u.corpus == "studio" else 1.0 for u in dataset.utterances]
    assert set(weighted.tolist()) == {1.0, 3.0}
