"""What was learned, in sentences. Every number in them is computed from the cells; nothing is typed in."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, median

from trainer.compare.bench import Bench
from trainer.compare.cells import CellResult
from trainer.compare.features import EGEMAPS, POPULAR, SETS, TOGETHER
from trainer.compare.summary import CellSummary, advantage


@dataclass(frozen=True)
class Board:
    """The figures of one corpus. `results` has the predictions of the same cells."""

    bench: Bench
    summaries: list[CellSummary]
    results: list[CellResult]

    @property
    def ranked(self) -> list[CellSummary]:
        """Speaker-independent cells, best first."""
        return sorted((s for s in self.summaries if s.split == "speakers"), key=lambda s: -s.uar)

    @property
    def best_of_each(self) -> list[CellSummary]:
        """The best features of each system, best system first."""
        first: dict[str, CellSummary] = {}
        for summary in self.ranked:
            first.setdefault(summary.system, summary)
        return list(first.values())

    def inflation(self, summary: CellSummary) -> float | None:
        """What the random split adds to a speaker-independent cell; None where it was not run."""
        for other in self.summaries:
            if other.split == "random" and (other.system, other.features) == (summary.system, summary.features):
                return other.uar - summary.uar
        return None

    def result(self, summary: CellSummary) -> CellResult:
        """The predictions behind a cell's figures."""
        wanted = (summary.system, summary.features, summary.split)
        return next(r for r in self.results if (r.cell.system, r.cell.features, r.cell.split) == wanted)


def percent(share: float) -> str:
    """0.4567 as 45.7."""
    return f"{100 * share:.1f}"


def named(summary: CellSummary) -> str:
    """A cell as the page names it."""
    return f"{summary.system} on {summary.features}"


def who_wins(board: Board) -> list[str]:
    """The best system, and whether the next is really worse."""
    best, chance = board.best_of_each[0], 1 / len(board.bench.labels)
    found = [
        f"The best cell is **{named(best)}** with {percent(best.uar)} UAR on held-out speakers"
        f"{_interval(best)}; guessing gives {percent(chance)}."
    ]
    for other in board.best_of_each[1:3]:
        gain, low, high = advantage(board.bench, board.result(best), board.result(other))
        verdict = (
            "more than the choice of speakers explains"
            if low > 0
            else "which the choice of speakers alone could explain: call it a draw"
        )
        found.append(
            f"{named(other)} reaches {percent(other.uar)}; on the same speakers the difference is {percent(gain)} "
            f"points (95% of redrawn sets of speakers: {percent(low)} to {percent(high)}), {verdict}."
        )
    return found


def what_random_hides(board: Board) -> list[str]:
    """The random split against the split by speaker."""
    gaps = [(gap, s) for s in board.ranked if (gap := board.inflation(s)) is not None]
    if not gaps:
        return []
    values = [gap for gap, _ in gaps]
    largest = max(gaps, key=lambda pair: pair[0])
    found = [
        f"With the same settings' search and the same clips, a random 80/20 split adds {percent(mean(values))} points "
        f"of UAR on the mean over {len(gaps)} cells (from {percent(min(values))} to {percent(max(values))}): its test "
        "clips are spoken by people whose other clips were trained on.",
        f"It flatters {named(largest[1])} most: {percent(largest[1].uar)} becomes "
        f"{percent(largest[1].uar + largest[0])}.",
    ]
    by_family = defaultdict(list)
    for gap, summary in gaps:
        if summary.features not in SETS or summary.family in ("CNN", "RNN"):
            by_family[summary.family].append(gap)
    if len(by_family) > 1:
        order = sorted(by_family.items(), key=lambda item: -mean(item[1]))
        found.append(
            "On joined sets of features it adds "
            + ", ".join(f"{percent(mean(values))} ({family})" for family, values in order)
            + "."
        )
    would = max(gaps, key=lambda pair: pair[0] + pair[1].uar)[1]
    if would is not board.ranked[0]:
        place = board.ranked.index(would) + 1
        found.append(f"Who chose by the random split would ship {named(would)}, place {place} on new speakers.")
    return found


def which_features_carry(board: Board) -> list[str]:
    """Sets of features alone and together, over the systems that were run on all of them."""
    table: dict[str, dict[str, float]] = defaultdict(dict)
    for summary in board.ranked:
        if summary.family not in ("CNN", "RNN", "Undertone"):
            table[summary.features][summary.system] = summary.uar
    shared = set.intersection(*(set(row) for row in table.values())) if table else set()
    if not shared or len(table) < 2:
        return []
    means = {features: mean(row[system] for system in shared) for features, row in table.items()}
    single = sorted((f for f in means if f in SETS), key=lambda f: -means[f])
    found = []
    if len(single) > 1:
        listed = ", ".join(f"{features} {percent(means[features])}" for features in single)
        found.append(f"Alone, mean over {len(shared)} clip-level systems: {listed}.")
    if TOGETHER in means and single:
        gain = means[TOGETHER] - means[single[0]]
        verb = "adds" if gain > 0 else "costs"
        found.append(
            f"All together: {percent(means[TOGETHER])}, so putting every set beside {single[0]} {verb} "
            f"{percent(abs(gain))} points."
        )
    if POPULAR in means and TOGETHER in means:
        found.append(
            f"The vector of most public notebooks (means of MFCC, chroma and mel, no more) reaches "
            f"{percent(means[POPULAR])}; the other sets, and how values spread and move within the clip, add "
            f"{percent(means[TOGETHER] - means[POPULAR])} points to it."
        )
    if EGEMAPS in means:
        found.append(f"openSMILE's eGeMAPS (88 functionals): {percent(means[EGEMAPS])}.")
    return found


def what_varies(board: Board) -> list[str]:
    """Seeds, folds, and how many systems stand within that of the best."""
    seeds = [s.uar_std_repeats for s in board.ranked if s.uar_std_repeats is not None]
    folds = [s.uar_std_folds for s in board.ranked if s.uar_std_folds is not None]
    found = []
    if seeds:
        found.append(
            f"Trained again with the same settings and another seed, a system's mean moves by {percent(median(seeds))} "
            f"points (median standard deviation of {len(seeds)} cells; {percent(max(seeds))} at most)."
        )
    if folds:
        found.append(
            f"From fold to fold it moves by {percent(median(folds))} points: so much depends on who is tested."
        )
    best = board.ranked[0]
    if best.interval and len(board.best_of_each) > 1:
        near = [s.system for s in board.best_of_each[1:] if s.uar >= best.interval[0]]
        found.append(
            f"{len(near)} of the other {len(board.best_of_each) - 1} systems lie within the best one's interval"
            f"{': ' + ', '.join(near) if near else ''}."
        )
    return found


def what_was_chosen(board: Board) -> list[str]:
    """Settings that the search settled on, over folds."""
    found = []
    configs = [chosen.config for s in board.summaries for chosen in s.chosen if chosen.trials]
    for name, title in (("optimiser", "optimiser of the networks"), ("penalty", "penalty of the logistic regression")):
        counts = Counter(config[name] for config in configs if name in config)
        if counts:
            found.append(f"Chosen {title}: {', '.join(f'{k} {n} times' for k, n in counts.most_common())}.")
    for name, title in (("dropout", "dropout"), ("l1", "L1"), ("l2", "L2"), ("epochs", "epochs")):
        values = sorted(config[name] for config in configs if name in config)
        if values:
            found.append(f"Chosen {title}: median {median(values):.3g}, from {values[0]:.3g} to {values[-1]:.3g}.")
    return found


def what_it_costs(board: Board) -> list[str]:
    """Numbers kept and seconds of training, best systems and the smallest that comes near."""
    best = board.ranked[0]
    near = [s for s in board.ranked if s.uar >= best.uar - 0.02]
    small = min(near, key=lambda s: s.parameters)
    found = [f"{named(best)} keeps {best.parameters:,} numbers and trains in {best.fit_seconds:.1f} s a fold."]
    if small is not best:
        found.append(
            f"Within two points of it, {named(small)} keeps {small.parameters:,} and trains in "
            f"{small.fit_seconds:.1f} s ({percent(small.uar)} UAR)."
        )
    return found


def _interval(summary: CellSummary) -> str:
    if summary.interval is None:
        return ""
    low, high = summary.interval
    return f" (95% interval over speakers: {percent(low)} to {percent(high)})"


def in_words(words: Iterable[str]) -> str:
    """`a, b and c`."""
    parts: Sequence[str] = list(words)
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
