"""`undertone compare` as a service: the run, what the terminal shows of it, the page."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from schemas.errors import UserError
from trainer.compare import page, run
from trainer.compare.findings import Board, percent
from trainer.compare.grid import choose_grid
from trainer.compare.summary import summarise


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """Everything that the command line says; `changes` are fields of the protocol.

    `so_far`: run nothing, and write the page of what is finished.
    """

    data: tuple[Path, ...]
    out: Path
    quick: bool = False
    systems: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    changes: Mapping[str, int] = field(default_factory=dict)
    jobs: int = 1
    so_far: bool = False


def serve(request: CompareRequest, console: Console) -> None:
    """Run the grid on every corpus and write the page.

    Raises:
        UserError: unusable data, unknown systems or features, or a folder that cannot be written.
    """
    grid = choose_grid(
        quick=request.quick, systems=request.systems, features=request.features, changes=dict(request.changes)
    )
    page.make_folder(request.out)  # asked before hours of work, not after them
    with _shown(console) as progress:
        benches, notes = run.prepare(request.data, grid, request.jobs, progress)
        boards = []
        for bench in benches:
            results = run.kept(bench, grid) if request.so_far else list(run.run(bench, grid, request.jobs, progress))
            if not any(result.cell.split == "speakers" for result in results):
                raise UserError(f"{bench.name}: no cell is finished yet")
            if missing := len(grid.cells(bench.name)) - len(results):
                notes.append(f"{bench.name}: {missing} of {missing + len(results)} cells, which were not run yet")
            summaries = [summarise(bench, r, grid.system(r.cell.system).family) for r in results]
            boards.append(Board(bench, summaries, results))
    page.write(boards, grid, notes, request.out, request.jobs)
    for note in notes:
        console.print(f"[yellow]{note}[/]", highlight=False)
    for board in boards:
        console.print(_table(board))
    console.print(f"{request.out / page.PAGE}  {request.out / page.JSON}", highlight=False, soft_wrap=True)


@contextmanager
def _shown(console: Console) -> Iterator[run.Progress]:
    """A bar for each stage on a terminal, a line for each cell elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(what: str, done: int, total: int) -> None:
            stage = what.partition(":")[0]
            if stage not in tasks:
                tasks[stage] = bars.add_task(what, total=total)
            bars.update(tasks[stage], completed=done, description=what, total=total)
            if not console.is_terminal and (":" in what or done == total):
                console.print(f"{what} ({done}/{total})", highlight=False)

        yield progress


def _table(board: Board) -> Table:
    table = Table("system", "features", "UAR, new speakers", "UAR, random split", title=board.bench.name)
    for summary in board.best_of_each:
        gap = board.inflation(summary)
        low, high = summary.interval or (summary.uar, summary.uar)
        table.add_row(
            summary.system,
            summary.features,
            f"{percent(summary.uar)} ({percent(low)} to {percent(high)})",
            "-" if gap is None else percent(summary.uar + gap),
        )
    return table
