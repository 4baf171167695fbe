"""*Model*: which one each worker predicts with, how old it is, and what became of those that came."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Dashboard

from scripts.dashboards.panels import BAD, GOOD, QUARTER, WATCH, Panel, Query, board, built, number, rows, series

AGE = "(time() - undertone_model_created_timestamp_seconds)"


def dashboard() -> Dashboard:
    """The dashboard."""
    it = board(
        "undertone-model", "Undertone: Model", "Which model each worker predicts with, and what became of others."
    )
    for panel in _panels():
        it = it.with_panel(panel)
    return built(it)


def _panels() -> Iterator[Panel]:
    yield number(
        "Versions in use",
        "More than one for minutes: a worker does not take up what the others have.",
        "short",
        "count(count by (version) (undertone_model_info))",
        ((None, GOOD), (2, WATCH)),
        width=QUARTER,
    )
    yield number(
        "Age of the newest in use",
        "Since it was trained. Alert where labels wait for training: TrainerIsOverdue.",
        "s",
        f"min({AGE})",
        width=QUARTER,
    )
    yield number(
        "Workers that refuse the champion",
        "They stay with an earlier model. Alert: ChampionIsRefused.",
        "short",
        "sum(undertone_champion_refused)",
        ((None, GOOD), (1, BAD)),
        width=QUARTER,
    )
    yield number(
        "Workers that refuse the challenger",
        "Its calls, of canary or shadow, go to the champion. Alert: ChallengerIsRefused.",
        "short",
        "sum(undertone_challenger_refused)",
        ((None, GOOD), (1, WATCH)),
        width=QUARTER,
    )
    yield rows(
        "Which worker has which",
        "The model that predicts new utterances; one that had begun ends with the model it began with.",
        "undertone_model_info",
        ("Time", "Value", "__name__", "job"),
    )
    yield series(
        "Workers by version",
        "Workers that predict with each version.",
        "short",
        Query("count by (version) (undertone_model_info)", "{{version}}"),
        stacked=True,
    )
    yield series(
        "Age, by version",
        "Since the model was trained, by its card.",
        "s",
        Query(f"max by (version) ({AGE} * on (instance) group_left (version) undertone_model_info)", "{{version}}"),
    )
    yield series(
        "Bundles that came, by outcome",
        "loaded: can be used. invalid, crashed, unsigned: refused, and on dead-letters. Each worker counts its own.",
        "short",
        Query("sum by (outcome) (increase(undertone_models_total[$__rate_interval]))", "{{outcome}}"),
        bars=True,
    )
    yield series(
        "Rebuilds, by what became of them",
        "published: the champion now. refused: a check has failed. nominated: the challenger, for people to promote.",
        "short",
        Query("sum by (decision) (increase(undertone_rebuild_runs_total[$__rate_interval]))", "{{decision}}"),
        bars=True,
    )
    yield series(
        "Labels since the last rebuild",
        "Labels with audio that no model was made of yet. Rising for weeks with no run: TrainerIsOverdue.",
        "short",
        Query("sum by (instance) (undertone_rebuild_new_labels)", "{{instance}}"),
    )
    yield series(
        "Shadow: does the challenger agree?",
        "Of utterances that both cut alike, the share to which the challenger gives the champion's label.",
        "percentunit",
        Query(
            'sum(rate(undertone_shadow_utterances_total{outcome="agrees"}[5m]))'
            ' / sum(rate(undertone_shadow_utterances_total{outcome=~"agrees|differs"}[5m]))',
            "agrees",
        ),
    )
    yield series(
        "Shadow: what it costs",
        "Cores that the challenger takes, and times a minute that workers have dropped it: behind, cost, failed.",
        "short",
        Query("sum(rate(undertone_shadow_seconds_total[5m]))", "cores"),
        Query("sum by (cause) (rate(undertone_shadow_dropped_total[5m])) * 60", "dropped: {{cause}}"),
    )
    yield series(
        "Drift, by figure",
        "How far calls lie from the model's own data (PSI), the mean over workers. Beyond 0.25 and chance: CallsDrift.",
        "short",
        Query("avg by (figure) (undertone_drift_psi)", "{{figure}}"),
        levels=((None, GOOD), (0.1, WATCH), (0.25, BAD)),
    )
    yield series(
        "Drift, of what chance allows",
        "The same as a multiple of what 1 in 100 draws of the model's own speakers exceeds. At 1 it is no chance.",
        "short",
        Query("avg by (figure) (undertone_drift_psi / undertone_drift_bound)", "{{figure}}"),
        levels=((None, GOOD), (1, WATCH)),
    )
    yield series(
        "The champion on new labels",
        "UAR and ECE on the newest labels since it was made. People label what looks wrong: mind the course.",
        "short",
        Query("max by (version) (undertone_champion_uar)", "UAR of {{version}}"),
        Query("max by (version) (undertone_champion_ece)", "ECE of {{version}}"),
    )
    yield series(
        "Uncertain speech",
        "Share of speech that the model could not tell. Compare it before and after a change of model.",
        "percentunit",
        Query(
            'sum(rate(undertone_speech_seconds_total{label="uncertain"}[5m]))'
            " / sum(rate(undertone_speech_seconds_total[5m]))",
            "uncertain",
        ),
    )
