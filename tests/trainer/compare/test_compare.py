"""`undertone compare` end to end on synthetic voices, and what it promises about who is heard where."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from schemas.errors import UserError
from tests.trainer.compare.small_bench import MOODS, TINY
from trainer.compare import run
from trainer.compare.bench import Bench
from trainer.compare.cells import Cell, CellResult, run_cell
from trainer.compare.features import TOGETHER
from trainer.compare.grid import Grid, choose_grid
from trainer.compare.service import CompareRequest, serve
from trainer.compare.summary import summarise
from trainer.compare.systems import CLASSIC


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
