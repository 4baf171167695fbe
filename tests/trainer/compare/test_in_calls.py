"""Figures after earlier utterances of the speaker: they are the memory's alone."""

from typing import Any, ClassVar, cast

import numpy as np

from tests.trainer.compare.small_bench import TINY
from trainer.compare.bench import Bench
from trainer.compare.cells import Cell, run_cell
from trainer.compare.error_analysis import after_what_was_said_before
from trainer.compare.findings import Board
from trainer.compare.measures import mean_recall
from trainer.compare.summary import summarise
from trainer.compare.systems import CLASSIC, System


class _Remembering:
    """Says what the first clip of a call is, and of a clip alone what it is."""

    name, family, takes, seeded = "remembering", "Undertone", "vectors", False
    space: ClassVar[Any] = {}
    defaults: ClassVar[Any] = {}
    parameters = 1

    def fit(self, inputs: Any, rows: Any, y: Any, config: Any, seed: int) -> "_Remembering":
        self.y = y
        return self

    def predict(self, inputs: Any, rows: Any) -> Any:
        return self.y[rows]

    def predict_in_calls(self, inputs: Any, calls: Any) -> Any:
        assert all(len(set(call)) == len(call) for call in calls)
        return self.y[[call[0] for call in calls]]


def test_figures_after_utterances_are_of_the_test_speakers_own(bench: Bench) -> None:
    cell = Cell(corpus="calls", system="remembering", features="mfcc", split="speakers")
    found = summarise(bench, run_cell(bench, cast(System, _Remembering()), cell, TINY), "Undertone")
    # Nine clips a speaker: all can be judged after three others, and none after ten.
    assert found.n_after_utterances == {"0": 36, "3": 36}
    assert found.uar_after_utterances["0"] == 1
    assert found.uar_after_utterances["3"] < 0.6
    for (_, test), per_fold in ((fold, bench.calls(fold[1], 0)) for fold in bench.folds):
        for call in (call for calls in per_fold for call in calls):
            assert set(call) <= set(test)
            assert len(set(bench.groups[call])) == 1


def test_without_a_memory_what_was_said_before_changes_nothing(bench: Bench) -> None:
    cell = Cell(corpus="calls", system="svm-linear", features="mfcc", split="speakers")
    result = run_cell(bench, next(s for s in CLASSIC if s.name == cell.system), cell, TINY)
    found = summarise(bench, result, "kernels")
    assert not found.remembers
    alone = round(mean_recall(bench.y, np.array(result.predictions[0])), 4)
    assert found.uar_after_utterances == {"0": alone, "3": alone}


def test_the_page_says_what_earlier_utterances_add(bench: Bench) -> None:
    boards = []
    for system, features in ((_Remembering(), "log-mel"), (CLASSIC[0], "mfcc")):
        cell = Cell(corpus="calls", system=system.name, features="mfcc", split="speakers")
        result = run_cell(bench, cast(System, system), cell, TINY)
        boards.append((summarise(bench, result, system.family), result, features))
    board = Board(bench, [summary for summary, *_ in boards], [result for _, result, _ in boards])
    first, second, _ = after_what_was_said_before(board)
    assert first.startswith("remembering on mfcc")
    assert "100.0 for the first utterance and" in first
    assert "decision-tree on mfcc" in second
    assert not after_what_was_said_before(Board(bench, board.summaries[1:], board.results[1:]))
