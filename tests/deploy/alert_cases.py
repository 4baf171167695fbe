"""What Prometheus has scraped, and which alerts fire for it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """What Prometheus has scraped, a sample each `interval`, and whether the alert fires at a time."""

    alert: str
    what: str
    series: dict[str, str]
    at: str
    fires: tuple[dict[str, str], ...] = ()
    value: str = "1"
    """What the summary says of the value, where it does."""
    interval: str = "30s"


UP = 'up{job="worker",instance="a"}'
LAG = 'undertone_lag_records{instance="a",partition="0"}'
CHUNKS = 'undertone_chunks_total{instance="a"}'
STALLED = 'undertone_stalled_seconds{instance="a",partition="0"}'
ERRORS = 'undertone_errors_total{{stage="{}",error_type="E",instance="a"}}'
SESSIONS = 'undertone_sessions_total{instance="a"}'
STARTED = 'process_start_time_seconds{job="worker",instance="a"}'
IN_TIME, EVENTS = 'undertone_event_delay_seconds_bucket{le="2.0"}', "undertone_event_delay_seconds_count"
AGE = 'undertone_lag_seconds{instance="a",partition="0"}'
RESTORING = 'undertone_restoring_seconds{instance="a"}'
DISK = 'undertone_kafka_disk_{}_bytes{{broker="1",directory="/data",instance="a"}}'
CREATED = "undertone_model_created_timestamp_seconds"
COLLECTED = 'undertone_collector_labels_total{state="collected",instance="a"}'
LABELS_LEFT = 'undertone_collector_lag_records{instance="a",partition="0"}'
SERVICE = 'up{job="sink",instance="a"}'
LATE = 'undertone_producer_late_seconds_bucket{{instance="a",le="{}"}}'
UNSENT = 'undertone_producer_failed_chunks_total{instance="a",error_type="E"}'
BUFFERED = 'undertone_gateway_buffered_bytes{instance="a"}'
AUDIO = 'undertone_gateway_audio_seconds_total{instance="a",wire="rtp"}'
GAPS = 'undertone_gateway_gap_seconds_total{instance="a",wire="rtp",cause="loss"}'
PAUSES = 'undertone_gateway_gap_seconds_total{instance="a",wire="rtp",cause="pause"}'
REFUSED = 'undertone_gateway_refused_total{{instance="a",wire="rtp",reason="{}"}}'
UNWRITTEN = 'undertone_sink_lag_records{instance="a",partition="0"}'
WRITTEN = 'undertone_sink_events_total{instance="a",type="segment"}'
FAILED = 'undertone_sink_batches_total{instance="a",outcome="failed"}'
LOST = 'undertone_sink_lost_records_total{instance="a",kind="retention"}'
NOT_DELIVERED = 'undertone_sink_dead_letters_total{instance="a",reason="not_delivered"}'
COLLECTOR_ERRORS = 'undertone_collector_errors_total{instance="a",stage="store",error_type="E"}'
TRAINING = 'undertone_trainer_progress{instance="a",stage="fit"}'
SHOWN = 'undertone_console_delay_seconds_bucket{{instance="a",le="{}"}}'
WAITING = 'undertone_console_alerts_waiting{instance="a"}'
LETTERS = 'undertone_dead_letters_total{reason="empty"}'
MODELS = 'undertone_models_total{outcome="crashed"}'
CHAMPION = 'undertone_champion_refused{instance="a"}'
CHALLENGER = 'undertone_challenger_refused{instance="a"}'
DRIFT = 'undertone_drift_{}{{figure="level",instance="{}"}}'
LATE_ALL, SHOWN_ALL = {LATE.format("+Inf"): "0+9x40"}, {SHOWN.format("+Inf"): "0+9x40"}
REBUILDS = 'undertone_rebuild_runs_total{decision="crashed",instance="a"}'
Fired = tuple[dict[str, str], ...]
ANY: Fired = ({},)
A: Fired = ({"instance": "a"},)


def late(percent: float, samples: int = 40) -> dict[str, str]:
    """A hundred events a sample, of which some come later than 2 s."""
    return {IN_TIME: f"0+{100 - percent}x{samples}", EVENTS: f"0+100x{samples}"}


def labelled(collected: str, made: int = 0) -> dict[str, str]:
    """An hour between samples: when the model was made, and the labels collected."""
    return {CREATED: f"{made}x400", COLLECTED: collected}


def drifting(psi: float, bound: float = 0.2) -> dict[str, str]:
    """Half of the calls are heard by each of two workers."""
    return {
        DRIFT.format("psi", "a"): f"{psi}x200",
        DRIFT.format("psi", "b"): f"{psi + 0.2}x200",
        DRIFT.format("bound", "a"): f"{bound}x200",
        DRIFT.format("bound", "b"): f"{bound}x200",
    }


# promtool's notation: "5+10x20" is 5, 15, 25 ...; "_x20" is 20 times nothing.
CASES = [
    Case("WorkersFallBehind", "steady and far behind", {LAG: "4000x40", CHUNKS: "0+3000x40"}, "15m", ANY),
    Case("WorkersFallBehind", "nothing is heard", {LAG: "2x40", CHUNKS: "100x40"}, "15m", ANY),
    Case("WorkersFallBehind", "no worker has counted yet", {LAG: "2x40"}, "15m", ANY),
    Case("WorkersFallBehind", "a busy worker", {LAG: "50x40", CHUNKS: "0+3000x40"}, "15m"),
    Case("WorkersFallBehind", "all is heard", {LAG: "0x40", CHUNKS: "100x40"}, "15m"),
    Case("PartitionIsStuck", "for long", {STALLED: "0+30x20"}, "5m", ({"instance": "a", "partition": "0"},)),
    Case("PartitionIsStuck", "for a moment", {STALLED: "0 30 60 0 0 0 0 0 0 0 0"}, "5m"),
    Case("PartitionIsLeft", "its worker is gone", {STALLED: "0x10 _x30"}, "18m", ({"partition": "0"},)),
    Case(
        "PartitionIsLeft",
        "another worker has it",
        {STALLED: "0x10 _x30", STALLED.replace('"a"', '"b"'): "_x10 0x30"},
        "18m",
    ),
    Case("AudioWaits", "for minutes", {AGE: "20x40"}, "5m", ({"instance": "a", "partition": "0"},), "20s"),
    Case("AudioWaits", "for a moment", {AGE: "0x5 20x2 0x40"}, "5m"),
    Case("EventsAreLate", "none", late(0), "15m"),
    Case("EventsAreLate", "one in ten", late(10), "15m", ANY, "10%"),
    Case("EventsAreLate", "one in fifty", late(2), "15m"),
    Case(
        "EventsAreLate",
        "all, for a minute of an hour",
        {IN_TIME: "0+100x118 11800x2 11900+100x60", EVENTS: "0+100x180"},
        "1h1m",
    ),
    Case("EventsAreLate", "no events at all", {UP: "1x40"}, "15m"),
    Case("LatencyBudgetBurns", "one in twenty for hours", late(5, 100), "5h", ANY, "5%", "5m"),
    Case("LatencyBudgetBurns", "one in two hundred for hours", late(0.5, 100), "5h", interval="5m"),
    Case("RestoreTakesLong", "for minutes", {RESTORING: "0+30x20"}, "3m", A, "3m 0s"),
    Case("RestoreTakesLong", "a restart", {RESTORING: "0 20 0x20"}, "3m"),
    Case("EngineFails", "its first error", {UP: "1x40", ERRORS.format("engine"): "_x20 1x20"}, "12m", A),
    Case("EngineFails", "one more error", {ERRORS.format("engine"): "1x20 2x20"}, "12m", A),
    Case("EngineFails", "an error of long ago", {ERRORS.format("engine"): "1x80"}, "35m"),
    Case("EngineFails", "another place", {ERRORS.format("kafka"): "_x20 1x20"}, "12m"),
    Case("KafkaFails", "again and again", {ERRORS.format("kafka"): "0+1x40"}, "15m", A),
    Case("KafkaFails", "a broker's restart", {ERRORS.format("kafka"): "0x20 1x40"}, "15m"),
    Case(
        "KafkaDiskFills",
        "nearly full",
        {DISK.format("free"): "9x40", DISK.format("size"): "100x40"},
        "8m",
        ({"broker": "1", "directory": "/data"},),
        "9%",
    ),
    Case(
        "KafkaDiskFills",
        "it fills within hours",
        {DISK.format("free"): "45-0.1x140", DISK.format("size"): "100x140"},
        "1h",
        ({"broker": "1", "directory": "/data"},),
        "33%",
    ),
    Case(
        "KafkaDiskFills", "it fills by day", {DISK.format("free"): "80-0.1x140", DISK.format("size"): "100x140"}, "1h"
    ),
    Case("WorkerRestarts", "it joins each minute", {SESSIONS: "0+1x20 _x20"}, "9m", A),
    Case("WorkerRestarts", "its supervisor starts it", {STARTED: "1x10 2x10 3x10 4x10"}, "19m", A),
    Case("WorkerRestarts", "it has joined once", {SESSIONS: "0 1x40", STARTED: "1x40"}, "15m"),
    Case("DeadLetters", "many", {LETTERS: "0x10 20x30"}, "8m", ({"reason": "empty"},)),
    Case("DeadLetters", "a few", {LETTERS: "0x10 2x30"}, "8m"),
    Case("DeadLetters", "as many as on any day", {LETTERS: "0+10x290"}, "24h", interval="5m"),
    Case(
        "DeadLetters",
        "more than on any day",
        {LETTERS: "0+10x286 2960+100x5"},
        "24h",
        ({"reason": "empty"},),
        interval="5m",
    ),
    Case("BadModel", "a bundle that crashes", {MODELS: "0x10 1x30"}, "8m", ({"outcome": "crashed"},)),
    Case("BadModel", "none", {MODELS: "0x40"}, "8m"),
    Case("ChampionIsRefused", "for minutes", {CHAMPION: "0x10 1x30"}, "9m", ({"instance": "a"},)),
    Case("ChampionIsRefused", "while it comes", {CHAMPION: "0x10 1x2 0x30"}, "9m"),
    Case("ChallengerIsRefused", "for minutes", {CHALLENGER: "0x10 1x30"}, "9m", ({"instance": "a"},)),
    Case("ChallengerIsRefused", "while it comes", {CHALLENGER: "0x10 1x2 0x30"}, "9m"),
    Case("ChallengerIsRefused", "the champion is", {CHAMPION: "1x40", CHALLENGER: "0x40"}, "9m"),
    Case("CallsDrift", "far, and no chance", drifting(0.25), "90m", ({"figure": "level"},), "0.35"),
    Case("CallsDrift", "no further than chance", drifting(0.25, bound=0.5), "90m"),
    Case("CallsDrift", "not far", drifting(0.1), "90m"),
    Case("CallsDrift", "for half an hour", {name: s.replace("200", "60") for name, s in drifting(0.4).items()}, "55m"),
    Case("WorkerIsGone", "it does not answer", {UP: "1x10 0x30"}, "8m", ({"job": "worker", "instance": "a"},)),
    Case("WorkerIsGone", "its container is gone", {UP: "1x10 stale _x30"}, "8m", ({"job": "worker"},)),
    Case("WorkerIsGone", "there has never been one", {LAG: "0x40"}, "8m", ({"job": "worker"},)),
    Case("WorkerIsGone", "it is there", {UP: "1x40"}, "8m"),
    Case("WorkersAreFewer", "one of two is gone", {UP: "1x40", UP.replace('"a"', '"b"'): "1x10 stale _x30"}, "9m", ANY),
    Case("WorkersAreFewer", "one more", {UP: "1x40", UP.replace('"a"', '"b"'): "_x10 1x30"}, "9m"),
    Case("TrainerIsOverdue", "labels, and an old model", labelled("0+1x400"), "365h", ANY, "15d 5h 0m 0s", "1h"),
    Case("TrainerIsOverdue", "no labels", labelled("0x400"), "365h", interval="1h"),
    Case("TrainerIsOverdue", "a new model", labelled("0+1x400", made=1_300_000), "365h", interval="1h"),
    Case("ServiceIsGone", "it does not answer", {SERVICE: "1x10 0x30"}, "8m", ({"job": "sink", "instance": "a"},)),
    Case("ServiceIsGone", "its container is gone", {SERVICE: "1x10 stale _x30"}, "8m", ({"job": "sink"},)),
    Case("ServiceIsGone", "it is there", {SERVICE: "1x40"}, "8m"),
    Case("ServiceIsGone", "there has never been one", {UP: "1x40"}, "8m"),
    Case(
        "ProducerIsLate",
        "all",
        {LATE.format("2.5"): "0x40", LATE.format("5.0"): "0+9x40", **LATE_ALL},
        "12m",
        A,
        "4.975s",
    ),
    Case("ProducerIsLate", "none", {LATE.format("0.1"): "0+9x40", **LATE_ALL}, "12m"),
    Case("ChunksAreLost", "the first", {UNSENT: "_x10 1x30"}, "8m", ({"instance": "a", "error_type": "E"},)),
    Case("ChunksAreLost", "one more", {UNSENT: "1x25 2x30"}, "15m", ({"instance": "a", "error_type": "E"},)),
    Case("ChunksAreLost", "long ago", {UNSENT: "1x60"}, "25m"),
    Case("GatewayWaitsForKafka", "it grows", {BUFFERED: "0+4000000x10"}, "5m", A, "38.15Mi"),
    Case("GatewayWaitsForKafka", "a moment's", {BUFFERED: "0 20000000 0x10"}, "3m"),
    Case(
        "GatewayLosesAudio",
        "a tenth",
        {AUDIO: "0+300x60", GAPS: "0+30x60"},
        "20m",
        ({"instance": "a", "cause": "loss"},),
        "10m 0s",
    ),
    Case("GatewayLosesAudio", "one in a hundred", {AUDIO: "0+300x60", GAPS: "0+3x60"}, "20m"),
    Case("GatewayLosesAudio", "a pause is no loss", {AUDIO: "0+300x60", PAUSES: "0+300x60"}, "20m"),
    Case(
        "GatewayTurnsCallsAway",
        "it is full",
        {REFUSED.format("too_many_calls"): "0+1x40"},
        "12m",
        ({"instance": "a", "reason": "too_many_calls"},),
    ),
    Case("GatewayTurnsCallsAway", "strangers", {REFUSED.format("unauthorized"): "0+10x40"}, "12m"),
    Case("SinkFallsBehind", "it writes nothing", {UNWRITTEN: "5x60"}, "25m", A, "5"),
    Case("SinkFallsBehind", "it writes too little", {UNWRITTEN: "90000x80", WRITTEN: "0+300x80"}, "25m", A, "90k"),
    Case("SinkFallsBehind", "it is busy", {UNWRITTEN: "900x80", WRITTEN: "0+300x80"}, "25m"),
    Case("SinkFallsBehind", "all is written", {UNWRITTEN: "0x80"}, "25m"),
    Case("SinkFails", "again and again", {FAILED: "0+1x40"}, "12m", A),
    Case("SinkFails", "once", {FAILED: "0x20 1x30"}, "12m"),
    Case("SinkLosesEvents", "to retention", {LOST: "_x10 7x30"}, "8m", A, "7"),
    Case("SinkLosesEvents", "to a target that refuses", {NOT_DELIVERED: "0x10 2x30"}, "10m", A, "2"),
    Case("SinkLosesEvents", "long ago", {LOST: "7x60", NOT_DELIVERED: "2x60"}, "25m"),
    Case(
        "CollectorFails", "again and again", {COLLECTOR_ERRORS: "0+1x40"}, "12m", ({"instance": "a", "stage": "store"},)
    ),
    Case("CollectorFails", "once", {COLLECTOR_ERRORS: "0x20 1x30"}, "12m"),
    Case("CollectorIsOverdue", "it stands still", {LABELS_LEFT: "3x90", COLLECTED: "9x90"}, "40m", A, "3"),
    Case("CollectorIsOverdue", "it gets on", {LABELS_LEFT: "3x90", COLLECTED: "0+1x90"}, "40m"),
    Case("CollectorIsOverdue", "nothing waits", {LABELS_LEFT: "0x90", COLLECTED: "9x90"}, "40m"),
    Case("TrainerStandsStill", "for an hour", {TRAINING: "0.3x200"}, "90m", A),
    Case("TrainerStandsStill", "it has just begun", {TRAINING: "0.3x200"}, "30m"),
    Case("TrainerStandsStill", "it gets on", {TRAINING: "0+0.001x200"}, "90m"),
    Case("RebuildsFail", "again and again", {REBUILDS: "0x10 1x10 2x10 3x30"}, "30m", A),
    Case("RebuildsFail", "once", {REBUILDS: "0x10 1x50"}, "30m"),
    Case("TrainerStandsStill", "it is done", {TRAINING: "1x200"}, "90m"),
    Case(
        "ConsoleIsBehind",
        "all is late",
        {SHOWN.format("5.0"): "0x40", SHOWN.format("15.0"): "0+9x40", **SHOWN_ALL},
        "12m",
        A,
        "14.9s",
    ),
    Case("ConsoleIsBehind", "none", {SHOWN.format("0.1"): "0+9x40", **SHOWN_ALL}, "12m"),
    Case("AlertsAreNotTaken", "nobody takes them", {WAITING: "0x4 2x120"}, "28m", A, "2"),
    Case("AlertsAreNotTaken", "one at a time is taken", {WAITING: "0 1 0 1 0 1 0x8 1x20 0x20"}, "20m"),
]
