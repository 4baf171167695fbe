"""The run: load, compute features, go through the cells, write the page. Every finished cell is kept at once.

Cells are cached by what they depend on (the clips' features, labels and speakers, the cell, the protocol, the
libraries), so a run that was broken off goes on where it stood, and another grid finds what it shares with this one.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

from pydantic import ValidationError

from schemas.errors import UserError
from trainer.compare.bench import Bench, make_bench
from trainer.compare.cells import Cell, CellResult, run_cell
from trainer.compare.features import EGEMAPS, ClipFeatures, clip_features
from trainer.compare.grid import DEFAULT_NETWORK, NETWORK_NAMES, Grid
from trainer.compare.threads import one_thread
from trainer.data.cache import cache_folder
from trainer.data.corpora import Utterance, load
from undertone.inference.bundle import DEFAULT_BUNDLE, read_bundle

# Raise it when a change to the systems, the search or the cells changes figures: older results are then not used.
REVISION = 1
# What the shipped network's figures depend on.
RECIPE_MODULES = (
    "trainer.compare.default_network",
    "trainer.data.cache",
    "trainer.data.clips",
    "trainer.data.preprocessing",
    "trainer.data.speech",
    "trainer.evaluation.in_calls",
    "trainer.options",
    "trainer.training.augmentation",
    "trainer.training.batches",
    "trainer.training.fit",
    "trainer.training.hold_music",
    "trainer.training.layers",
    "trainer.training.network",
    "trainer.training.recipe",
)

_DIED = "a worker process died (out of memory?); run the same again, with --jobs 1: it goes on where it stood"

Progress = Callable[[str, int, int], None]


def prepare(paths: Sequence[Path], grid: Grid, jobs: int, progress: Progress) -> tuple[list[Bench], list[str]]:
    """Every corpus under `paths` on a bench of its own, and a line for each thing that was left out.

    Raises:
        UserError: nothing labelled, or no corpus with two speakers and two emotions.
    """
    labelled = load(paths)
    notes = [f"{count} {what}" for what, count in sorted(labelled.warnings.items())]
    benches: list[Bench] = []
    from trainer.compare.default_network import read_corpus  # noqa: PLC0415 - loads TensorFlow

    for corpus in sorted({utterance.corpus for utterance in labelled.utterances}):
        try:
            # Reads and checks what the shipped network takes: unreadable, silent and repeated files go here.
            utterances = read_corpus(tuple(u for u in labelled.utterances if u.corpus == corpus)).utterances
            # openSMILE takes four times what all the rest does.
            work = partial(clip_features, egemaps=EGEMAPS in grid.features)
            benches.append(make_bench(corpus, utterances, _features(utterances, work, jobs, partial(progress, corpus))))
        except UserError as error:
            notes.append(f"{corpus} left out: {error}")
    if not benches:
        raise UserError(f"nothing to compare on ({'; '.join(notes)})")
    return benches, notes


def _features(
    utterances: Sequence[Utterance],
    work: Callable[[Path], ClipFeatures],
    jobs: int,
    progress: Callable[[int, int], None],
) -> list[ClipFeatures]:
    found: list[ClipFeatures] = []
    # Not here, where TensorFlow is loaded: with openSMILE in the same process malloc fails.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=one_thread) as pool:
        try:
            for clip in pool.map(work, [u.path for u in utterances], chunksize=8):
                found.append(clip)
                progress(len(found), len(utterances))
        except BrokenProcessPool:
            raise UserError(_DIED) from None
    return found


def kept(bench: Bench, grid: Grid) -> list[CellResult]:
    """The cells of the grid that are finished already."""
    found = (_read(_entry(bench, grid, cell)) for cell in grid.cells(bench.name))
    return [result for result in found if result is not None]


def run(bench: Bench, grid: Grid, jobs: int, progress: Progress) -> Iterator[CellResult]:
    """Every cell of the grid on this bench, as it is finished; kept ones come first."""
    finished = kept(bench, grid)
    yield from finished
    cells, known = grid.cells(bench.name), {result.cell for result in finished}
    todo = [cell for cell in cells if cell not in known]
    done = len(finished)
    progress(f"{bench.name}: cells", done, len(cells))
    for result in _computed(bench, grid, todo, jobs):
        _write(_entry(bench, grid, result.cell), result)
        done += 1
        progress(f"{bench.name}: {result.cell.system} on {result.cell.features}, {result.cell.split}", done, len(cells))
        yield result


def _computed(bench: Bench, grid: Grid, cells: list[Cell], jobs: int) -> Iterator[CellResult]:
    """Cells in worker processes; a single job needs none."""
    if jobs == 1 or len(cells) < 2:
        _start(bench, grid)
        yield from map(_work, cells)
        return
    waiting = iter(cells)
    with ProcessPoolExecutor(
        min(jobs, len(cells)), mp_context=get_context("spawn"), initializer=_start, initargs=(bench, grid)
    ) as pool:
        running: set[Future[CellResult]] = set()
        try:
            while True:
                while len(running) < jobs and (cell := next(waiting, None)) is not None:
                    running.add(pool.submit(_work, cell))
                if not running:
                    return
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        except BrokenProcessPool:
            raise UserError(_DIED) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_bench: Bench
_grid: Grid


def _start(bench: Bench, grid: Grid) -> None:
    """Once in each worker process: what every cell of it needs."""
    global _bench, _grid
    _bench, _grid = bench, grid
    one_thread()


def _work(cell: Cell) -> CellResult:
    if cell.system in (*NETWORK_NAMES, DEFAULT_NETWORK):
        _one_tensorflow_thread()
    return run_cell(_bench, _grid.system(cell.system), cell, _grid.protocol)


def _one_tensorflow_thread() -> None:
    import tensorflow as tf  # noqa: PLC0415 - seconds to load, and most cells do without

    if tf.config.threading.get_intra_op_parallelism_threads() != 1:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def _entry(bench: Bench, grid: Grid, cell: Cell) -> Path:
    """Where a cell's result is kept."""
    system = grid.system(cell.system)
    depends = (
        REVISION,
        bench.fingerprint,
        cell.model_dump(),
        grid.protocol.of(cell.split, system.takes),
        system.defaults,
        sorted(map(str, system.space.items())),
        _recipe_code() if cell.system == DEFAULT_NETWORK else "",
        version("scikit-learn"),
        version("keras"),
    )
    key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "compare" / "cells" / f"{key}.json"


def _recipe_code() -> str:
    """Hash of the recipe's sources and of the memory that ships: the network's figures follow every change to them."""
    digest = hashlib.sha256(repr(read_bundle(DEFAULT_BUNDLE).card.caller).encode())
    for module in RECIPE_MODULES:
        spec = find_spec(module)  # found, and not imported: TensorFlow takes seconds
        if spec is None or spec.origin is None:
            raise LookupError(f"no module {module}: RECIPE_MODULES names one that has moved")
        digest.update(Path(spec.origin).read_bytes())
    return digest.hexdigest()


def _read(entry: Path) -> CellResult | None:
    try:
        return CellResult.model_validate_json(entry.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        entry.unlink(missing_ok=True)  # half a file, or an older format: made anew
        return None


def _write(entry: Path, result: CellResult) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    draft = entry.with_suffix(f".{os.getpid()}")
    draft.write_text(result.model_dump_json())
    draft.replace(entry)
