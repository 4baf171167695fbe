"""Held-out files after other utterances of their speakers."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.support.voices import write_corpus
from trainer.evaluation.in_calls import draw_calls, evaluate_in_calls
from undertone.analysis.evaluate import evaluate
from undertone.inference.model import Model


def test_a_call_has_one_speaker_and_no_file_twice() -> None:
    speakers = ["a"] * 20 + ["b"] * 20 + ["c"] * 5
    usual = np.tile([True, False, False, False, False], 9)
    calls = draw_calls(usual, speakers, 10, 3, seed=1)
    assert sorted(call[-1] for call in calls) == list(range(40))  # c has too few
    for call in calls:
        assert len(set(call)) == 11
        assert len({speakers[row] for row in call}) == 1
        assert usual[call[:-1]].sum() >= 3


def test_the_usual_ones_are_as_many_as_asked_for_where_there_are_others() -> None:
    usual = np.arange(40) < 20
    for call in draw_calls(usual, ["a"] * 40, 10, 7, seed=2):
        assert 7 <= usual[call[:-1]].sum() <= 10
    first, other = (draw_calls(usual, ["a"] * 40, 10, 7, seed)[0].tolist() for seed in (2, 3))
    assert first != other


@pytest.mark.slow
def test_figures_are_those_of_evaluate_on_the_same_calls(tmp_path: Path) -> None:
    written = write_corpus(tmp_path / "corpus", ("frustrated", "satisfied"), range(2), 6)
    with written.open(newline="") as file:
        rows = list(csv.DictReader(file))
    model = Model.load()
    paths = [written.parent / row["path"] for row in rows]
    emotions = [{"frustrated": "angry", "satisfied": "calm"}[row["emotion"]] for row in rows]
    truth = np.array([model.card.labels.index(emotion) for emotion in emotions])
    allowed = np.zeros((len(rows), len(model.card.labels)))
    allowed[:, sorted(set(truth))] = 1
    speakers = [row["speaker"] for row in rows]
    found = evaluate_in_calls(paths, truth, allowed, speakers, model, seed=4)
    assert list(found) == ["after 3 utterances", "after 10 utterances"]
    usual = truth == model.card.labels.index("calm")
    for before, quiet in ((3, 2), (10, 7)):
        manifest = tmp_path / "calls.csv"
        with manifest.open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(("path", "emotion", "speaker", "call", "order"))
            for number, call in enumerate(draw_calls(usual, speakers, before, quiet, seed=4)):
                for place, row in enumerate(call):
                    label = emotions[row] if place == before else ""
                    out.writerow((paths[row], label, speakers[row], number, place))
        figures = evaluate(manifest, model.with_prior("uniform"), calls=True)
        result = found[f"after {before} utterances"]
        assert (figures.n, figures.uar) == (len(result.truth), pytest.approx(result.uar))
        assert figures.ece == pytest.approx(result.to_json(()).get("ece"))
