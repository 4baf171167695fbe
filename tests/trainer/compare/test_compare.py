"""`undertone compare` end to end on synthetic voices, and what it promises about who is heard where."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pytest
from rich.console import Console

from schemas.errors import UserError
from tests.support.imports import modules
from tests.support.paths import ROOT
from tests.support.voices import RATE, utterance, write_corpus
from trainer.compare import run
from trainer.compare.bench import Bench, fold_count, make_bench
from trainer.compare.cells import Cell, CellResult, Protocol, run_cell
from trainer.compare.default_network import DefaultNetwork
from trainer.compare.error_analysis import after_what_was_said_before
from trainer.compare.features import (
    AFTER_SECONDS,
    POPULAR,
    SETS,
    TOGETHER,
    compute,
    set_names,
    step_columns,
    vector_columns,
)
from trainer.compare.findings import Board
from trainer.compare.grid import Grid, choose_grid, system_names
from trainer.compare.measures import hardest_pairs, interval, mean_recall, resampled_uars, speaker_confusions
from trainer.compare.networks import NETWORKS, Network
from trainer.compare.search import choose, inner_splits
from trainer.compare.service import CompareRequest, serve
from trainer.compare.summary import summarise
from trainer.compare.systems import CLASSIC, System
from trainer.data.corpora import Utterance, load

MOODS = ("frustrated", "satisfied", "puzzled")
TINY = Protocol(trials=2, network_trials=1, inner_folds=2, repeats=2, random_splits=1)


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNDERTONE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three moods, four speakers."""
    return write_corpus(tmp_path_factory.mktemp("corpus"), MOODS, range(4), 3)


@pytest.fixture(scope="module")
def bench(corpus: Path) -> Bench:
    """The corpus on the bench, without worker processes."""
    return _bench(load([corpus]).utterances)


def _bench(utterances: list[Utterance]) -> Bench:
    clips = [compute(utterance(u.emotion, int(u.speaker[-1]), int(u.path.stem[-1]))) for u in utterances]
    return make_bench("calls", utterances, clips)


def _compare(corpus: Path, out: Path) -> str:
    printed = io.StringIO()
    request = CompareRequest(
        (corpus,),
        out,
        quick=True,
        systems=("decision-tree", "svm-linear"),
        features=("mfcc", TOGETHER),
        changes={"trials": 2, "repeats": 2},
    )
    serve(request, Console(file=printed, width=200))
    return printed.getvalue()


@pytest.fixture(scope="module")
def compared(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What a run left, and what it printed."""
    out = tmp_path_factory.mktemp("out")
    return out, _compare(corpus, out)


def test_page_figures_and_plots(compared: tuple[Path, str]) -> None:
    out, printed = compared
    figures = json.loads((out / "compare.json").read_text())
    assert figures["format"] == 1
    (found,) = figures["corpora"]
    assert found["labels"] == sorted(MOODS)
    assert sorted(found["folds"]) == [["calls/s0"], ["calls/s1"], ["calls/s2"], ["calls/s3"]]
    assert len(found["cells"]) == 2 * 2 * 2
    page = (out / "compare.md").read_text()
    for name in ("systems", "features", "confusion", "speakers", "heard", "cost"):
        image = f"images/compare-calls-{name}.png"
        assert image in page
        assert (out / image).read_bytes().startswith(b"\x89PNG")
    assert "svm-linear" in printed


def test_a_folder_that_cannot_be_made_is_said_at_once(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        _compare(corpus, tmp_path / "file" / "out")


def test_each_split_is_named_and_a_random_one_claims_no_interval(compared: tuple[Path, str]) -> None:
    figures = json.loads((compared[0] / "compare.json").read_text())
    cells = figures["corpora"][0]["cells"]
    by_split = {split: [cell for cell in cells if cell["split"] == split] for split in ("speakers", "random")}
    assert len(by_split["speakers"]) == len(by_split["random"]) == 4
    for cell in by_split["speakers"]:
        assert sum(map(sum, cell["confusion"])) == 36 * cell["repeats"]
        assert len(cell["by_speaker"]) == 4
        assert cell["random_split_adds"] is not None
    for cell in by_split["random"]:
        assert cell["interval"] is None
        assert not cell["by_speaker"]
        assert sum(map(sum, cell["confusion"])) == 7
    page = (compared[0] / "compare.md").read_text()
    assert "UAR, new speakers" in page
    assert "UAR, random split" in page


def test_a_second_run_computes_nothing_and_says_the_same(
    compared: tuple[Path, str], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_computed", lambda *args: pytest.fail("a kept cell was run again") if args[2] else ())
    _compare(corpus, tmp_path)
    first, second = (json.loads((folder / "compare.json").read_text()) for folder in (compared[0], tmp_path))
    assert first["corpora"] == second["corpora"]


def test_a_broken_off_run_goes_on_where_it_stood(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_CACHE_DIR", str(tmp_path))
    grid = choose_grid(quick=True, systems=["naive-bayes"], features=["pitch", "mfcc"], changes=TINY.model_dump())
    started: list[Cell] = []

    def computed(bench: Bench, grid: Grid, cells: list[Cell], jobs: int) -> Iterator[CellResult]:
        for cell in cells:
            started.append(cell)
            if len(started) == 3:
                raise KeyboardInterrupt
            yield run_cell(bench, grid.system(cell.system), cell, grid.protocol)

    monkeypatch.setattr(run, "_computed", computed)
    with pytest.raises(KeyboardInterrupt):
        list(run.run(bench, grid, 1, lambda *_: None))
    results = list(run.run(bench, grid, 1, lambda *_: None))
    assert len(results) == 4
    # Two were finished, the third was not and is run again.
    assert started[2] == started[3]
    assert len(started) == 5


def test_half_a_kept_cell_is_made_anew(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(
        run, "_computed", lambda b, g, cells, _: (run_cell(b, g.system(c.system), c, g.protocol) for c in cells)
    )
    grid = choose_grid(quick=True, systems=["naive-bayes"], features=["pitch"], changes=TINY.model_dump())
    before = list(run.run(bench, grid, 1, lambda *_: None))
    for entry in tmp_path.rglob("*.json"):
        entry.write_bytes(entry.read_bytes()[:100])
    after = list(run.run(bench, grid, 1, lambda *_: None))
    assert [r.predictions for r in before] == [r.predictions for r in after]


def test_kept_cells_and_compare_json_keep_their_names(bench: Bench) -> None:
    """What an earlier version kept is read, and what reads compare.json goes on reading it."""
    cell = Cell(corpus="calls", system="naive-bayes", features="pitch", split="speakers")
    result = run_cell(bench, next(s for s in CLASSIC if s.name == cell.system), cell, TINY)
    kept = json.loads(result.model_dump_json())
    assert set(kept) == {"cell", "trainings", "chosen", "answers", "heard", "in_calls", "seconds"}
    assert CellResult.model_validate({name: value for name, value in kept.items() if name != "in_calls"}) == result
    assert CellResult.model_validate(kept) == result
    assert set(summarise(bench, result, "Bayes").model_dump()["heard"]) == {"0.5", "1", "2", "3"}


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
    two = _bench(utterances)
    assert [sorted(set(two.groups[test])) for _, test in two.folds] == [["calls/s0"], ["calls/s1"]]
    cell = Cell(corpus="calls", system="svm-linear", features="mfcc", split="speakers")
    result = run_cell(two, next(s for s in CLASSIC if s.name == cell.system), cell, TINY)
    assert all(chosen.trials == 0 and chosen.inner_uar is None for chosen in result.chosen)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_networks_learn_and_answer_after_any_time_heard(bench: Bench, network: Network) -> None:
    train, test = bench.folds[0]
    short = replace(network, epochs=6)
    inputs = bench.inputs("sequences", "mfcc")
    uar, learned = short.try_out(inputs, train, test, bench.y, short.defaults, 0)
    assert 0 <= uar <= 1
    assert 1 <= learned["epochs"] <= 6
    fitted = short.fit(inputs, train, bench.y, short.defaults | {"epochs": 12, "learning_rate": 5e-3}, 0)
    assert fitted.parameters > 1000
    # Voices that it was trained on, in moods that differ plainly: what cannot learn these is broken.
    assert mean_recall(bench.y[train], fitted.predict(inputs, train)) > 0.6
    assert len(fitted.predict(bench.inputs("sequences", "mfcc", after=0), test)) == len(test)


def test_the_shipped_network_takes_its_place(corpus: Path) -> None:
    (found,), _ = run.prepare([corpus], choose_grid(quick=True), 1, lambda *_: None)
    cell = Cell(corpus="calls", system="undertone", features="log-mel", split="random")
    result = run_cell(found, DefaultNetwork(epochs=1), cell, TINY)
    assert result.chosen[0].config == {"epochs": 1}
    assert result.trainings[0].parameters < 300_000
    assert sum(answer >= 0 for answer in result.predictions[0]) == 7


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


def test_the_shipped_network_remembers_as_its_bundle_does(tmp_path: Path) -> None:
    """In a call of one clip it says what it says of the clip; the memory is the one that ships."""
    from trainer.compare.default_network import ClipInputs  # noqa: PLC0415 - loads TensorFlow

    names = {"frustrated": "angry", "satisfied": "neutral"}
    read = load([write_corpus(tmp_path, tuple(names), range(2), 3)]).utterances
    utterances = tuple(replace(one, emotion=names[one.emotion]) for one in read)
    inputs = ClipInputs(utterances)
    rows, labels = np.arange(len(utterances)), inputs.dataset.labels
    y = np.array([labels.index(u.emotion) for u in utterances])
    model = DefaultNetwork(epochs=6).fit(inputs, rows, y, {"epochs": 6}, 0)
    alone = model.predict_in_calls(inputs, [rows[[row]] for row in rows])
    assert alone.tolist() == model.predict(inputs, rows).tolist()
    assert len(model.predict_in_calls(inputs, [rows[:4], rows[::-1]])) == 2


def test_the_shipped_networks_kept_figures_depend_on_all_that_trains_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever `fit` is made of is hashed; a module that moves must be named anew."""

    def source(module: str) -> Path:
        return ROOT / f"{module.replace('.', '/')}.py"

    def made_of(module: str) -> set[str]:
        used = {name for name in modules(source(module)) if name.startswith("trainer.") and source(name).is_file()}
        return {module}.union(*map(made_of, used))

    assert made_of("trainer.training.fit") <= set(run.RECIPE_MODULES)
    before = run._recipe_code()
    monkeypatch.setattr(run, "RECIPE_MODULES", run.RECIPE_MODULES[1:])
    assert run._recipe_code() != before
    monkeypatch.setattr(run, "RECIPE_MODULES", ("trainer.training.moved",))
    with pytest.raises(LookupError, match="has moved"):
        run._recipe_code()


def test_an_emotion_that_one_speaker_alone_shows(tmp_path: Path) -> None:
    utterances = load([write_corpus(tmp_path, MOODS, range(4), 2)]).utterances
    few = _bench([u for u in utterances if u.emotion != "puzzled" or u.speaker == "calls/s0"])
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


def test_features_are_of_speech_alone() -> None:
    sound = utterance("satisfied", 1, 0)
    quiet = np.zeros(RATE, np.int16)
    one, other = compute(sound), compute(np.concatenate([sound, quiet]))
    assert other.speech_s == pytest.approx(one.speech_s, abs=0.3)
    assert one.vectors.shape[0] == len(AFTER_SECONDS) + 1
    # What is heard after half a second does not depend on what follows.
    np.testing.assert_allclose(one.vectors[0], other.vectors[0], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("samples", [0, 1, 300, 4000])
def test_silence_and_scraps_have_features(samples: int) -> None:
    found = compute(np.zeros(samples, np.int16))
    assert np.isfinite(found.vectors).all()
    assert np.isfinite(found.steps).all()
    assert len(found.steps) >= 1


def test_sets_together_are_all_sets() -> None:
    alone = np.concatenate([vector_columns(name) for name in SETS])
    assert sorted(alone) == vector_columns(TOGETHER).tolist()
    assert set(vector_columns(POPULAR)) < set(vector_columns(TOGETHER))
    assert sorted(np.concatenate([step_columns(name) for name in SETS])) == step_columns(TOGETHER).tolist()


def test_the_full_grid_has_every_system_on_every_set() -> None:
    cells = choose_grid(quick=False).cells("calls")
    assert {cell.system for cell in cells} == set(system_names())
    assert {cell.features for cell in cells if cell.system == "svm-rbf"} == set(set_names())
    assert len(cells) == len(set(cells))


def test_unknown_names_are_said() -> None:
    with pytest.raises(UserError, match="no system 'svm'"):
        choose_grid(quick=True, systems=["svm"])
    with pytest.raises(UserError, match="no features 'mfccs'"):
        choose_grid(quick=True, features=["mfccs"])


def test_uar_of_resampled_speakers() -> None:
    truth = np.tile([0, 1], 20)
    groups = np.repeat([f"s{k}" for k in range(4)], 10)
    answers = np.where(groups == "s3", 1 - truth, truth)[None]
    assert mean_recall(truth, answers[0]) == 0.75
    low, high = interval(resampled_uars(speaker_confusions(truth, answers, 2, groups)))
    assert low < 0.75 < high <= 1
    assert hardest_pairs(np.array([[5, 5, 0], [1, 9, 0], [0, 0, 10]]), "abc")[0] == ("a", "b", pytest.approx(0.3))
