"""Metrics of the console. `docs/reference/metrics.md` is their specification; a test keeps the two equal."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

# An event is here some 10 ms after its commit; the rest is for outages.
_DELAY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300)


class ConsoleMetrics:
    """One attribute per metric, all in one registry."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.events = Counter("undertone_console_events", "Events read from Kafka.", ["type"], registry=registry)
        self.unreadable = Counter("undertone_console_unreadable", "Records that are no events.", registry=registry)
        self.delay_seconds = Histogram(
            "undertone_console_delay_seconds",
            "From an event's Kafka timestamp to the console, read live.",
            buckets=_DELAY_BUCKETS,
            registry=registry,
        )
        self.remembered = Gauge(
            "undertone_console_remembered_events", "Segments and summaries that are remembered.", registry=registry
        )
        self.open_pages = Gauge("undertone_console_open_pages", "Pages that are open.", registry=registry)
        self.pages = Counter("undertone_console_pages", "Pages by how they began.", ["outcome"], registry=registry)
        self.closed_pages = Counter(
            "undertone_console_closed_pages", "Pages that had to come back.", ["reason"], registry=registry
        )
        self.shed_updates = Counter(
            "undertone_console_shed_updates",
            "Updates that newer events took the place of.",
            registry=registry,
        )
        self.listenings = Counter(
            "undertone_console_listenings", "Channels of calls that somebody listened to.", registry=registry
        )
        self.labels = Counter(
            "undertone_console_labels", "Labels that people gave, by what came of them.", ["outcome"], registry=registry
        )
        self.rules_met = Gauge(
            "undertone_console_rules_met", "Calls or channels that meet a rule now.", ["rule"], registry=registry
        )
        self.alerts_waiting = Gauge(
            "undertone_console_alerts_waiting", "Alerts that their webhook has not taken yet.", registry=registry
        )
        self.webhook_requests = Counter(
            "undertone_console_webhook_requests",
            "Requests of alerts, by how they ended.",
            ["outcome"],
            registry=registry,
        )
        self.refused = Counter("undertone_console_refused", "Requests refused.", ["reason"], registry=registry)
        for outcome in ("anew", "resumed", "refused"):
            self.pages.labels(outcome)
        for reason in ("too_slow", "took_nothing", "began_anew"):
            self.closed_pages.labels(reason)
        for outcome in ("sent", "withdrawn", "no_event", "failed"):
            self.labels.labels(outcome)
        for reason in ("host", "site", "login", "token", "role"):
            self.refused.labels(reason)
