"""The panels of *Service* on what stands beside the workers: producers, gateway, sinks, collector, console, Kafka."""

from collections.abc import Iterator

from scripts.dashboards.panels import BAD, GOOD, THIRD, Panel, Query, series

_P99 = "histogram_quantile(0.99, sum by (instance, le) (rate({}_bucket[$__rate_interval])))"


def around() -> Iterator[Panel]:
    """Producers, Kafka, and who answers at all."""
    yield series(
        "Producers: how late",
        "99 of 100 chunks were sent within this time of being due, and taken by Kafka within that of being sent.",
        "s",
        Query(_P99.format("undertone_producer_late_seconds"), "{{instance}}: sent"),
        Query(_P99.format("undertone_producer_delivery_seconds"), "{{instance}}: taken by Kafka"),
        width=THIRD,
        levels=((None, GOOD), (1, BAD)),
    )
    yield series(
        "Services that answer",
        "Processes that Prometheus reaches, by job.",
        "short",
        Query("sum by (job) (up)", "{{job}}"),
        width=THIRD,
    )
    yield series(
        "Kafka's disks: free",
        "Share that is free, by broker. A broker whose disk is full stops. Alert: KafkaDiskFills.",
        "percentunit",
        Query(
            "min by (broker, directory) (undertone_kafka_disk_free_bytes / undertone_kafka_disk_size_bytes)",
            "broker {{broker}}, {{directory}}",
        ),
        width=THIRD,
        levels=((None, BAD), (0.1, GOOD)),
    )


def gateway() -> Iterator[Panel]:
    """Live calls that come in by wire."""
    yield series(
        "Streams that come in, by wire",
        "Channels of calls that have not ended, those that broke off and may come back included.",
        "short",
        Query("sum by (wire) (undertone_gateway_open_streams)", "{{wire}}"),
        stacked=True,
    )
    yield series(
        "Sound that is missing, by cause",
        "pause and discarded: the wire said so. loss: the network. broke_off: the wire was cut. kafka: not taken.",
        "s",
        Query("sum by (cause) (increase(undertone_gateway_gap_seconds_total[$__rate_interval]))", "{{cause}}"),
        bars=True,
    )
    yield series(
        "Turned away, by reason",
        "Connections, calls and messages that were not taken. too_many_calls, kafka_away: GatewayTurnsCallsAway.",
        "short",
        Query("sum by (reason) (increase(undertone_gateway_refused_total[$__rate_interval]))", "{{reason}}"),
        bars=True,
    )
    yield series(
        "Waits in the gateway for Kafka",
        "Audio in memory. Beyond UNDERTONE_GATEWAY_BUFFER_BYTES it is lost. Alert: GatewayWaitsForKafka.",
        "bytes",
        Query("sum by (instance) (undertone_gateway_buffered_bytes)", "{{instance}}"),
    )


def readers() -> Iterator[Panel]:
    """Whoever reads events and labels."""
    yield series(
        "Sinks: events that wait",
        "Events that are not written to the target. Alert: SinkFallsBehind.",
        "short",
        Query("sum by (instance) (undertone_sink_lag_records)", "{{instance}}"),
        width=THIRD,
    )
    yield series(
        "Sinks: batches, by outcome",
        "failed: the target did not take one, and it is tried again. fenced: another sink had taken over.",
        "short",
        Query("sum by (outcome) (increase(undertone_sink_batches_total[$__rate_interval]))", "{{outcome}}"),
        width=THIRD,
        bars=True,
    )
    yield series(
        "Sinks and console: how late",
        "99 of 100 events were written, or on their way to pages, within this time of being published.",
        "s",
        Query(_P99.format("undertone_sink_delay_seconds"), "{{instance}}: sink"),
        Query(_P99.format("undertone_console_delay_seconds"), "{{instance}}: console"),
        width=THIRD,
    )
    yield series(
        "Labels, by what became of them",
        "collected: kept with their audio. expired: Kafka had the audio no longer. rejected: a dead letter.",
        "short",
        Query("sum by (state) (increase(undertone_collector_labels_total[$__rate_interval]))", "{{state}}"),
        width=THIRD,
        bars=True,
    )
    yield series(
        "Labels that wait",
        "Not collected yet. Their audio is in Kafka for a day by default. Alert: CollectorIsOverdue.",
        "short",
        Query("sum by (instance) (undertone_collector_lag_records)", "{{instance}}"),
        width=THIRD,
    )
    yield series(
        "Console: pages that are open",
        "Browsers that follow calls now.",
        "short",
        Query("sum by (instance) (undertone_console_open_pages)", "{{instance}}"),
        width=THIRD,
    )
