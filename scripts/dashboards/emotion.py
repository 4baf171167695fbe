"""*Emotion*: what the callers sound like, all calls together."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders.dashboard import QueryVariable
from grafana_foundation_sdk.models.dashboard import Dashboard, VariableOption, VariableRefresh

from scripts.dashboards.panels import (
    FULL,
    GOOD,
    HALF,
    SIXTH,
    SOURCE,
    WATCH,
    Panel,
    Query,
    board,
    built,
    heat,
    number,
    series,
)

# An utterance takes seconds: over less time shares jump.
WINDOW = "5m"
# A worker that is not told of queues has no such label, and `.*`, which is all of them, fits it.
OF = 'role=~"$role", queue=~"$queue"'
HEARD = f"rate(undertone_speech_seconds_total{{{OF}}}[{WINDOW}])"
UNSURE = f'rate(undertone_speech_seconds_total{{{OF}, label="uncertain"}}[{WINDOW}])'
AUDIO = f"rate(undertone_audio_seconds_total{{{OF}}}[{WINDOW}])"


def dashboard() -> Dashboard:
    """The dashboard."""
    it = board(
        "undertone-emotion",
        "Undertone: Emotion",
        "What callers sound like, all calls together. Single calls are in the console and on emotion-events.",
    )
    role = (
        QueryVariable("role")
        .label("Role")
        .datasource(SOURCE)
        .query("label_values(undertone_audio_seconds_total, role)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .current(VariableOption(text=["customer"], value=["customer"]))
    )
    queue = (
        QueryVariable("queue")
        .label("Queue")
        .description("Beginnings of calls' ids, which UNDERTONE_QUEUES names to the workers.")
        .datasource(SOURCE)
        .query("label_values(undertone_audio_seconds_total, queue)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(text=["All"], value=["$__all"]))
    )
    it = it.with_variable(role).with_variable(queue)
    for panel in (*_numbers(), *_shares(), *_queues(), *_voices()):
        it = it.with_panel(panel)
    return built(it)


def _numbers() -> Iterator[Panel]:
    yield number(
        "Calls in lasting displeasure",
        "Streams that are open and have sounded negative for 10 s or more.",
        "short",
        f"sum(undertone_lasting_displeasure_streams{{{OF}}})",
        ((None, GOOD), (1, WATCH)),
    )
    yield number(
        "Of all streams",
        "Their share of the streams that are open.",
        "percentunit",
        f"sum(undertone_lasting_displeasure_streams{{{OF}}}) / (sum(undertone_open_streams) > 0)",
    )
    yield number(
        "Turns for the worse, last hour",
        "Utterances in displeasure after one that was not, in the same stream.",
        "short",
        f"sum(increase(undertone_turns_for_the_worse_total{{{OF}}}[1h]))",
    )
    yield number(
        "Uncertain",
        f"Share of speech that the model could not tell, over {WINDOW}.",
        "percentunit",
        f"sum({UNSURE}) / sum({HEARD})",
    )
    yield number(
        "Speech",
        f"Share of the audio in which somebody speaks, over {WINDOW}. Near 0: silent lines, or too low a level.",
        "percentunit",
        f"sum({HEARD}) / sum({AUDIO})",
    )
    yield number(
        "Level, the middle one",
        "Half of the utterances are louder, dB relative to full scale. -25 is usual on a telephone.",
        "dB",
        'histogram_quantile(0.5, sum by (le) (rate(undertone_speech_level_dbfs_bucket{role=~"$role"}[5m])))',
        width=SIXTH,
    )


def _shares() -> Iterator[Panel]:
    yield series(
        "What was heard, by label",
        f"Share of speech by the label of its utterance, over {WINDOW}.",
        "percentunit",
        Query(f"sum by (label) ({HEARD}) / on () group_left () sum({HEARD})", "{{label}}"),
        width=FULL,
        stacked=True,
    )
    yield series(
        "Displeasure that lasts",
        "Open streams that have sounded negative for 10 s or more, by role.",
        "short",
        Query(f"sum by (role) (undertone_lasting_displeasure_streams{{{OF}}})", "{{role}}"),
    )
    yield series(
        "Turns for the worse",
        f"Utterances in displeasure after one that was not, a minute, over {WINDOW}.",
        "cpm",
        Query(f"60 * sum by (role) (rate(undertone_turns_for_the_worse_total{{{OF}}}[{WINDOW}]))", "{{role}}"),
    )
    yield series(
        "Uncertain, by role",
        "Share of speech that the model could not tell. A rise with no change of model: other callers, or other sound.",
        "percentunit",
        Query(f"sum by (role) ({UNSURE}) / sum by (role) ({HEARD})", "{{role}}"),
    )
    yield series(
        "Utterances a minute, by label",
        f"Utterances that have ended, over {WINDOW}.",
        "cpm",
        Query(f"60 * sum by (label) (rate(undertone_segments_total{{{OF}}}[{WINDOW}]))", "{{label}}"),
    )


def _queues() -> Iterator[Panel]:
    yield series(
        "What was heard, by queue",
        f"Share of a queue's speech by label, over {WINDOW}. Without UNDERTONE_QUEUES all calls are in one.",
        "percentunit",
        Query(
            f"sum by (queue, label) ({HEARD}) / on (queue) group_left () sum by (queue) ({HEARD})",
            "{{queue}} {{label}}",
        ),
    )
    yield series(
        "Displeasure that lasts, by queue",
        "Open streams that have sounded negative for 10 s or more. other: in none that UNDERTONE_QUEUES names.",
        "short",
        Query(f"sum by (queue) (undertone_lasting_displeasure_streams{{{OF}}})", "{{queue}}"),
    )


def _voices() -> Iterator[Panel]:
    yield series(
        "Speech, by role",
        "Share of the audio in which somebody speaks.",
        "percentunit",
        Query(f"sum by (role) ({HEARD}) / sum by (role) ({AUDIO})", "{{role}}"),
    )
    yield heat(
        "Level of utterances",
        "dB relative to full scale. A band that moves is a change of the line or of the telephone system.",
        "dB",
        'sum by (le) (increase(undertone_speech_level_dbfs_bucket{role=~"$role"}[$__rate_interval]))',
        width=HALF,
    )
