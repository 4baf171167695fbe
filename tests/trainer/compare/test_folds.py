"""Who is heard where: folds, the search within them, and what is measured over speakers."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from tests.support.voices import write_corpus
from tests.trainer.compare.small_bench import MOODS, TINY, bench_of
from trainer.compare.bench import Bench, fold_count
from trainer.compare.cells import Cell, run_cell
from trainer.compare.measures import hardest_pairs, interval, mean_recall, resampled_uars, speaker_confusions
from trainer.compare.search import choose, inner_splits
from trainer.compare.systems import CLASSIC, System
from trainer.data.corpora import load


def test_folds_never_share_speakers_and_test_everybody_once(bench: Bench) -> None:
    tested = []
    for train, test in bench.folds:
        assert not set(bench.groups[train]) & set(bench.groups[test])
        assert len(train) + len(test) == len(bench.y)
        tested.extend(test.tolist())
    assert sorted(tested) == list(range(len(bench.y)))


def test_search_sees_training_speakers_only_and_validates_on_others(bench: Bench) -> None:
    train, test = bench.folds[0]
    seen = []

    class Spy:
        space, defaults = CLASSIC[0].space, CLASSIC[0].defaults

        def try_out(self, inputs: Any, fitted: Any, valid: Any, *rest: Any) -> Any:
            seen.append((fitted, valid))
            return CLASSIC[0].try_out(inputs, fitted, valid, *rest)

    inner = inner_splits(train, bench.groups, 3, 0)
    choice = choose(cast(System, Spy()), bench.inputs("vectors", "mfcc"), inner, bench.y, 3, 0)
    assert choice.trials == 3
    assert seen
    for fitted, valid in seen:
        assert not set(bench.groups[fitted]) & set(bench.groups[valid])
        assert not set(test) & (set(fitted) | set(valid))


def test_test_clips_change_nothing_that_was_trained(bench: Bench) -> None:
    """The same cell with the test clips' labels and sounds replaced trains the very same models."""
    cell = Cell(corpus="calls", system="svm-rbf", features="mfcc", split="speakers")
    system = next(s for s in CLASSIC if s.name == "svm-rbf")
    train, test = bench.folds[0]
    inputs, y = bench.inputs("vectors", cell.features).copy(), bench.y.copy()
    chosen, answers = [], []
    for _ in range(2):
        inner = inner_splits(train, bench.groups, 2, 0)
        chosen.append(choose(system, inputs, inner, y, 3, 0))
        model = system.fit(inputs, train, y, chosen[-1].config, 0)
        answers.append(model.predict(bench.inputs("vectors", cell.features), test).tolist())
        inputs[test] = 1e3
        y[test] = 0
    assert chosen[0] == chosen[1]
    assert answers[0] == answers[1]


def test_two_speakers_are_two_folds_with_nothing_searched(tmp_path: Path) -> None:
    utterances = load([write_corpus(tmp_path, MOODS, range(2), 3)]).utterances
    two = bench_of(utterances)
    assert [sorted(set(two.groups[test])) for _, test in two.folds] == [["calls/s0"], ["calls/s1"]]
    cell = Cell(corpus="calls", system="svm-linear", features="mfcc", split="speakers")
    result = run_cell(two, next(s for s in CLASSIC if s.name == cell.system), cell, TINY)
    assert all(chosen.trials == 0 and chosen.inner_uar is None for chosen in result.chosen)


def test_an_emotion_that_one_speaker_alone_shows(tmp_path: Path) -> None:
    utterances = load([write_corpus(tmp_path, MOODS, range(4), 2)]).utterances
    few = bench_of([u for u in utterances if u.emotion != "puzzled" or u.speaker == "calls/s0"])
    for name in ("svm-linear", "random-forest", "mlp-adam"):
        cell = Cell(corpus="calls", system=name, features="mfcc", split="speakers")
        result = run_cell(few, next(s for s in CLASSIC if s.name == name), cell, TINY)
        assert all(0 <= training.uar <= 1 for training in result.trainings)


def test_ravdess_keeps_its_published_folds() -> None:
    actors = np.array([f"ravdess/{k:02d}" for k in range(1, 25)])
    assert fold_count(actors) == 5
    fifth = {"08", "17", "21", "23", "24"}
    assert fold_count(np.array([who for who in actors if who[-2:] not in fifth])) == 4
    assert fold_count(np.array(["tess/OAF", "tess/YAF"])) == 2


def test_uar_of_resampled_speakers() -> None:
    truth = np.tile([0, 1], 20)
    groups = np.repeat([f"s{k}" for k in range(4)], 10)
    answers = np.where(groups == "s3", 1 - truth, truth)[None]
    assert mean_recall(truth, answers[0]) == 0.75
    low, high = interval(resampled_uars(speaker_confusions(truth, answers, 2, groups)))
    assert low < 0.75 < high <= 1
    assert hardest_pairs(np.array([[5, 5, 0], [1, 9, 0], [0, 0, 10]]), "abc")[0] == ("a", "b", pytest.approx(0.3))
