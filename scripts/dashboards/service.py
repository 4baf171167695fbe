"""*Service*: are calls heard, how late, who does the work, and what goes wrong."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders.dashboard import Row
from grafana_foundation_sdk.models.dashboard import Dashboard

from scripts.dashboards import beside
from scripts.dashboards.panels import BAD, GOOD, THIRD, WATCH, Levels, Panel, Query, board, built, heat, number, series

WITHIN = 'sum(rate(undertone_event_delay_seconds_bucket{le="2.0"}[$__rate_interval]))'
ALL = "sum(rate(undertone_event_delay_seconds_count[$__rate_interval]))"
# As the alerts have it.
WAITS: Levels = ((None, GOOD), (2, WATCH), (10, BAD))


def dashboard() -> Dashboard:
    """The dashboard."""
    it = board("undertone-service", "Undertone: Service", "Whether calls are heard, and how soon. Start here at night.")
    for title, panels in (
        ("Are calls heard?", [*_numbers()]),
        ("How late", [*_delays()]),
        ("Who does the work", [*_work()]),
        ("What goes wrong", [*_faults()]),
        ("Around the workers", [*beside.around()]),
        ("Gateway", [*beside.gateway()]),
        ("Sinks, labels and console", [*beside.readers()]),
    ):
        it = it.with_row(Row(title))
        for panel in panels:
            it = it.with_panel(panel)
    return built(it)


def _numbers() -> Iterator[Panel]:
    yield number(
        "Workers that answer",
        "None: no call is heard. Alert: WorkerIsGone.",
        "short",
        'count(up{job="worker"} == 1) or vector(0)',
        ((None, BAD), (1, GOOD)),
    )
    yield number(
        "Streams being heard",
        "Channels of calls that have begun and not ended.",
        "short",
        "sum(undertone_open_streams)",
    )
    yield number(
        "Oldest audio that waits",
        "Age of the oldest chunk in Kafka that no worker has dealt with. Alert from 10 s: AudioWaits.",
        "s",
        "max(undertone_lag_seconds)",
        WAITS,
    )
    yield number(
        "Events within 2 s",
        "Share of events that came within 2 s of their audio. The objective is 99% over 30 days.",
        "percentunit",
        f"{WITHIN} / {ALL}",
        ((None, BAD), (0.9, WATCH), (0.99, GOOD)),
    )
    yield number(
        "Longest standstill",
        "How long a partition has stood still with audio left to read. Alert from 2 minutes: PartitionIsStuck.",
        "s",
        "max(undertone_stalled_seconds)",
        ((None, GOOD), (30, WATCH), (120, BAD)),
    )
    yield number(
        "Alerts that ask for somebody",
        "Alerts of severity page that fire now; docs/how-to/runbook.md says what to do.",
        "short",
        'count(ALERTS{alertstate="firing", severity="page"}) or vector(0)',
        ((None, GOOD), (1, BAD)),
    )


def _delays() -> Iterator[Panel]:
    yield heat(
        "From chunk to event",
        "Events by how long after their last chunk's arrival in Kafka they were published.",
        "s",
        "sum by (le) (increase(undertone_event_delay_seconds_bucket[$__rate_interval]))",
    )
    quantile = "histogram_quantile({}, sum by (le) (rate(undertone_event_delay_seconds_bucket[$__rate_interval])))"
    yield series(
        "Delay of events",
        "Half, 95 and 99 of 100 events came within this time of their audio.",
        "s",
        *(Query(quantile.format(share), name) for share, name in ((0.5, "half"), (0.95, "95%"), (0.99, "99%"))),
        levels=((None, GOOD), (2, BAD)),
    )
    yield series(
        "Oldest audio that waits, by partition",
        "Age of the oldest chunk that is not dealt with. One partition alone: it is stuck. All: too few workers.",
        "s",
        Query("max by (partition) (undertone_lag_seconds)", "partition {{partition}}"),
        levels=WAITS,
    )
    yield series(
        "Chunks that wait, by partition",
        "Records of call-audio that are not dealt with. A few are on their way at any time.",
        "short",
        Query("sum by (partition) (undertone_lag_records)", "partition {{partition}}"),
    )
    yield series(
        "Heard up to, behind the clock",
        "How far the time up to which a partition has been heard lies behind. Where nobody calls it saws up to 10 s.",
        "s",
        Query("max by (partition) (undertone_watermark_delay_seconds)", "partition {{partition}}"),
    )
    yield series(
        "Late events, of all",
        "Share of events later than 2 s, by window. 1% is what the objective leaves; alerts: EventsAreLate.",
        "percentunit",
        *(Query(f"undertone:late_events:ratio_rate{window}", f"last {window}") for window in ("5m", "1h", "6h")),
        levels=((None, GOOD), (0.01, BAD)),
    )


def _work() -> Iterator[Panel]:
    yield series(
        "Streams by worker",
        "Channels of calls that each worker hears.",
        "short",
        Query("sum by (instance) (undertone_open_streams)", "{{instance}}"),
        width=THIRD,
        stacked=True,
    )
    yield series(
        "Chunks a second, by worker",
        "Audio chunks read and committed.",
        "cps",
        Query("sum by (instance) (rate(undertone_chunks_total[$__rate_interval]))", "{{instance}}"),
        width=THIRD,
        stacked=True,
    )
    yield series(
        "Events a second, by kind",
        "Updates come while somebody speaks, segments when an utterance ends, summaries when a call does.",
        "cps",
        Query("sum by (type) (rate(undertone_events_total[$__rate_interval]))", "{{type}}"),
        width=THIRD,
    )
    yield series(
        "Where the time goes",
        "Share of the loop's time by stage, mean of the workers. poll is idle; much publish or commit is a slow Kafka.",
        "percentunit",
        Query(
            "sum by (stage) (rate(undertone_stage_seconds_sum[$__rate_interval]))"
            ' / on () group_left () count(up{job="worker"} == 1)',
            "{{stage}}",
        ),
        stacked=True,
    )
    yield series(
        "Time of a stage",
        "Mean time of one pass of the loop, by stage.",
        "s",
        Query(
            "sum by (stage) (rate(undertone_stage_seconds_sum[$__rate_interval]))"
            " / sum by (stage) (rate(undertone_stage_seconds_count[$__rate_interval]))",
            "{{stage}}",
        ),
    )
    batch = "histogram_quantile({}, sum by (le) (rate(undertone_batch_records_bucket[$__rate_interval])))"
    yield series(
        "Chunks in a transaction",
        "How many records share one transaction. Near 2,000 (UNDERTONE_BATCH_RECORDS) there is a backlog.",
        "short",
        *(Query(batch.format(share), name) for share, name in ((0.5, "half"), (0.95, "95%"))),
        width=THIRD,
    )
    yield series(
        "Processor time, by worker",
        "A worker uses one core; at 100% it is full.",
        "percentunit",
        Query('rate(process_cpu_seconds_total{job="worker"}[$__rate_interval])', "{{instance}}"),
        width=THIRD,
        levels=((None, GOOD), (0.9, WATCH)),
    )
    yield series(
        "Memory, by worker",
        "Resident memory of each worker's process.",
        "bytes",
        Query('process_resident_memory_bytes{job="worker"}', "{{instance}}"),
        width=THIRD,
    )


def _faults() -> Iterator[Panel]:
    yield series(
        "Partitions that stand still",
        "How long, with audio left to read. The worker's /readyz says what it waits for.",
        "s",
        Query("max by (instance, partition) (undertone_stalled_seconds)", "partition {{partition}}, {{instance}}"),
        levels=((None, GOOD), (120, BAD)),
    )
    yield series(
        "Dead letters, by reason",
        "Messages that could not be used. The topic dead-letters has them.",
        "short",
        Query("sum by (reason) (increase(undertone_dead_letters_total[$__rate_interval]))", "{{reason}}"),
        bars=True,
    )
    yield series(
        "Restores under way",
        "How long a worker has waited for the state of a partition that it has got: its calls stand still meanwhile.",
        "s",
        Query("max by (instance) (undertone_restoring_seconds)", "{{instance}}"),
        levels=((None, GOOD), (60, BAD)),
    )
    yield series(
        "Restore: records left to read",
        "Offsets of worker-state before all restores under way are done.",
        "short",
        Query("max by (instance) (undertone_restore_records_left)", "{{instance}}"),
    )
    yield series(
        "Partitions restored",
        "Each is a partition that has moved to a worker, or come back to one.",
        "short",
        Query("sum by (instance) (increase(undertone_restore_seconds_count[$__rate_interval]))", "{{instance}}"),
        bars=True,
    )
    yield series(
        "Chunks heard again, by worker",
        "After a takeover a stream is heard again from its last saved state on: a few seconds of each call.",
        "short",
        Query("sum by (instance) (increase(undertone_replayed_chunks_total[$__rate_interval]))", "{{instance}}"),
        bars=True,
    )
    yield series(
        "Transactions given up, by cause",
        "fenced: another worker has the partitions. rebalance: the group moved on. timeout: Kafka did not answer.",
        "short",
        Query("sum by (cause) (increase(undertone_aborted_transactions_total[$__rate_interval]))", "{{cause}}"),
        width=THIRD,
        bars=True,
    )
    yield series(
        "Workers that join",
        "Times a worker joined the group. More than once each: WorkerRestarts.",
        "short",
        Query("sum by (instance) (increase(undertone_sessions_total[$__rate_interval]))", "{{instance}}"),
        width=THIRD,
        bars=True,
    )
    yield series(
        "Errors, by place",
        "engine: a bug. kafka: Kafka was lost. stall: no progress though Kafka answers. Empty where there was none.",
        "short",
        Query(
            "sum by (stage, error_type) (increase(undertone_errors_total[$__rate_interval]))",
            "{{stage}}: {{error_type}}",
        ),
        width=THIRD,
        bars=True,
    )
