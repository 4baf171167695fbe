"""Where the models err, in sentences: emotions, pairs, speakers, genders, intensities, seconds of speech."""

from collections import Counter

import numpy as np

from trainer.compare.findings import Board, in_words, named, percent
from trainer.compare.summary import CellSummary
from trainer.evaluation.in_calls import BEFORE

LEADERS = 5  # systems whose errors are looked at together


def which_emotions(board: Board) -> list[str]:
    """Recall by emotion, and the pairs that are taken for each other."""
    best = board.best_of_each[0]
    order = sorted(best.recall.items(), key=lambda item: item[1])
    found = [
        f"{named(best)} recognises {order[-1][0]} best (recall {percent(order[-1][1])}) and {order[0][0]} worst "
        f"({percent(order[0][1])}).",
        "Its hardest pairs: "
        + "; ".join(f"{a} and {b} ({percent(share)})" for a, b, share in best.hardest_pairs[:3])
        + ". In brackets the share that crosses over, mean of the two directions, in per cent.",
    ]
    leaders = board.best_of_each[:LEADERS]
    if len(leaders) > 1:
        worst = Counter(min(s.recall, key=lambda label: s.recall[label]) for s in leaders)
        pairs = Counter((a, b) for s in leaders for a, b, _ in s.hardest_pairs[:3])
        (a, b), times = pairs.most_common(1)[0]
        label, count = worst.most_common(1)[0]
        found.append(
            f"Over the {len(leaders)} best systems the weakest emotion is {label} for {count}; {a} and {b} are among "
            f"the three hardest pairs of {times}."
        )
    return found


def which_speakers(board: Board) -> list[str]:
    """Speakers and genders."""
    best = board.best_of_each[0]
    found = []
    if len(best.by_speaker) > 1:
        order = sorted(best.by_speaker.items(), key=lambda item: item[1])
        found.append(
            f"From speaker to speaker {named(best)} goes from {percent(order[0][1])} ({order[0][0]}) to "
            f"{percent(order[-1][1])} ({order[-1][0]}): {percent(order[-1][1] - order[0][1])} points."
        )
    leaders = [s for s in board.best_of_each[:LEADERS] if len(s.by_speaker) > 2]
    if len(leaders) > 1:
        names = sorted(leaders[0].by_speaker)
        table = np.array([[s.by_speaker[name] for name in names] for s in leaders])
        hardest = names[int(table.mean(axis=0).argmin())]
        alike = np.corrcoef(table)[np.triu_indices(len(leaders), 1)].mean() if table.std(axis=1).all() else 0.0
        found.append(
            f"By speaker the figures of the {len(leaders)} best systems correlate with {alike:.2f} on the mean; the "
            f"hardest for all of them together is {hardest}."
        )
    return [*found, *_gap(board, "by_gender", "speakers"), *_gap(board, "by_intensity", "intensity")]


def how_long(board: Board) -> list[str]:
    """UAR by seconds of speech."""
    found = []
    for summary in board.best_of_each[:2]:
        if summary.after:
            steps = in_words(f"{percent(uar)} after {seconds} s" for seconds, uar in summary.after.items())
            found.append(f"{named(summary)}: {steps} of speech, {percent(summary.uar)} at the end of the clip.")
    if found:
        found.append(f"Half of the clips hold less than {np.median(board.bench.speech_s):.1f} s of speech.")
    return found


def after_what_was_said_before(board: Board) -> list[str]:
    """UAR of the first utterance of a speaker, and after three and ten others."""
    found = []
    for summary in (s for s in board.best_of_each if s.remembers):
        steps = [
            f"{percent(uar)} {'for the first utterance' if heard == '0' else f'after {heard}'}"
            for heard, uar in summary.uar_after_utterances.items()
        ]
        found.append(f"{named(summary)} judges against what the speaker said before: {in_words(steps)} of theirs.")
    others = [s for s in board.best_of_each if not s.remembers and s.uar_after_utterances]
    if found and others:
        listed = in_words(f"{percent(s.uar_after_utterances['0'])} ({named(s)})" for s in others[:LEADERS])
        found.append(f"The others have no memory and stay where they are: {listed}.")
    if found:
        counts = in_words(f"{quiet} of {before}" for before, quiet in BEFORE.items())
        found.append(
            f"Before each test clip come others of its speaker, a second of silence between; {counts} are neutral or "
            "calm where there are as many."
        )
    return found


def _gap(board: Board, by: str, of: str) -> list[str]:
    """The largest gap between groups for the best system, and its mean over the leaders."""
    leaders: list[CellSummary] = [s for s in board.best_of_each[:LEADERS] if len(getattr(s, by)) > 1]
    if not leaders:
        return []
    groups = sorted(getattr(leaders[0], by).items(), key=lambda item: -item[1])
    listed = in_words(f"{percent(uar)} for {name}" for name, uar in groups)
    high, low = groups[0][0], groups[-1][0]
    gaps = [getattr(s, by)[high] - getattr(s, by)[low] for s in leaders]
    return [
        f"By {'gender of the speaker' if by == 'by_gender' else of}: {listed} ({named(leaders[0])}); over the "
        f"{len(leaders)} best systems {high} lies {percent(float(np.mean(gaps)))} points above {low}, from "
        f"{percent(min(gaps))} to {percent(max(gaps))}."
    ]
