"""A run's outcome as a table for people and one JSON object for programs."""

import json
from collections import Counter
from statistics import median

from tests.chaos.run import Outcome


def table(outcome: Outcome) -> str:
    """Faults by kind with the time until all was heard again, what was compared, and what was wrong."""
    lines = [f"{'fault':<32}{'rounds':>8}{'caught up, median s':>22}{'longest s':>12}"]
    times: dict[str, list[float]] = {}
    for done in outcome.rounds:
        times.setdefault(" + ".join(done.kinds) if len(done.kinds) == 1 else "several at once", []).append(
            done.caught_up_s
        )
    for kind, took in sorted(times.items()):
        lines.append(f"{kind:<32}{len(took):>8}{median(took):>22.1f}{max(took):>12.1f}")
    verdict = outcome.verdict
    lines += [
        "",
        f"{outcome.plan.chunks} chunks of {outcome.plan.calls} calls, {verdict.events} events, {outcome.models} models",
        f"lost {verdict.lost}, repeated {verdict.repeated}, differing {verdict.differing},"
        f" streams out of order {verdict.reordered}, dead letters {outcome.dead_letters}",
        f"largest difference of a probability {verdict.max_probability_difference:.6f}",
        f"{outcome.states} states compared with those rebuilt from audio, {outcome.states_differing} differ",
        f"the concurrent reader saw {'the same' if outcome.watched_alike else 'SOMETHING ELSE'}",
        f"{outcome.telephone_calls} calls by the gateway, {outcome.whole_calls} of them undisturbed,"
        f" {outcome.labels} labels: {outcome.others_wrong} wrong",
        f"processes that ended by themselves and were started again: {len(outcome.exits)}",
        *(f"  {text}" for text in outcome.exits[:10]),
        *(f"! {text}" for text in verdict.remarks),
    ]
    return "\n".join(lines)


def json_line(outcome: Outcome) -> str:
    """The last line."""
    faults = Counter(kind for done in outcome.rounds for kind in done.kinds)
    return json.dumps(
        {
            "chunks": outcome.plan.chunks,
            "calls": outcome.plan.calls,
            "events": outcome.verdict.events,
            "faults": dict(sorted(faults.items())),
            "mixed_rounds": sum(len(done.kinds) > 1 for done in outcome.rounds),
            "lost": outcome.verdict.lost,
            "repeated": outcome.verdict.repeated,
            "reordered": outcome.verdict.reordered,
            "differing": outcome.verdict.differing,
            "max_probability_difference": round(outcome.verdict.max_probability_difference, 6),
            "states": outcome.states,
            "states_differing": outcome.states_differing,
            "dead_letters": outcome.dead_letters,
            "concurrent_reader_alike": outcome.watched_alike,
            "telephone_calls": outcome.telephone_calls,
            "undisturbed_telephone_calls": outcome.whole_calls,
            "labels": outcome.labels,
            "wrong_calls_and_labels": outcome.others_wrong,
            "exits": len(outcome.exits),
            "seconds": round(outcome.seconds),
            "seed": outcome.plan.seed,
            "passed": outcome.passed,
        }
    )
