"""Topics: names, partitions, retention and compaction, as `undertone topics` creates them."""

from dataclasses import dataclass, field

HOUR_MS = 3_600_000
# Kafka deletes whole segments, once their newest record is too old. By default one is filled for up to 7 days: sound
# that is to be gone after 24 h would lie there for eight.
_SOUND = {"segment.ms": str(HOUR_MS)}


@dataclass(frozen=True, slots=True)
class Topic:
    """One Kafka topic. `partitions` None means the number that the operator chose for streams."""

    name: str
    description: str
    partitions: int | None = None
    cleanup_policy: str = "delete"
    retention_ms: int = -1
    retention_bytes: int = -1  # of each partition; -1 sets no bound of ours
    max_message_bytes: int = 1_048_588
    config: dict[str, str] = field(default_factory=dict)

    @property
    def kafka_config(self) -> dict[str, str]:
        """The topic's configuration in Kafka's own names."""
        common = {"cleanup.policy": self.cleanup_policy, "max.message.bytes": str(self.max_message_bytes)}
        if self.cleanup_policy == "delete":
            common["retention.ms"] = str(self.retention_ms)
            if self.retention_bytes >= 0:
                common["retention.bytes"] = str(self.retention_bytes)
        return common | self.config


class Topics:
    """All topics under one prefix, so that several installations can share a cluster.

    `call_audio` and `worker_state` must have equal partition counts: a stream's changelog lies in the
    partition with the number of its audio's partition.
    """

    def __init__(self, prefix: str = "") -> None:
        self.call_audio = Topic(
            f"{prefix}call-audio",
            "Audio chunks of live calls, one key per stream (call_id/channel).",
            retention_ms=24 * HOUR_MS,
            # The broker's clock, not the producer's: streams are closed by this time, and one producer
            # with a wrong clock must not close the streams of others.
            # Unpacked by the broker: what it counts against the largest message is then what a reader has to hold
            # (16 MB of zeros arrive as 16 KB of gzip), and readers need no codec but their own.
            config=_SOUND | {"message.timestamp.type": "LogAppendTime", "compression.type": "uncompressed"},
        )
        self.emotion_events = Topic(
            f"{prefix}emotion-events",
            "Emotion events: update, segment, summary.",
            retention_ms=7 * 24 * HOUR_MS,
            config={"segment.ms": str(24 * HOUR_MS)},
        )
        self.emotion_labels = Topic(f"{prefix}emotion-labels", "What a person says the emotion was.")
        self.models = Topic(
            f"{prefix}models",
            "Model bundles by version, and aliases: the champion is in use, without one the newest.",
            partitions=1,
            cleanup_policy="compact",
            max_message_bytes=16 * 1024 * 1024,
        )
        self.worker_state = Topic(
            f"{prefix}worker-state",
            "The changelog: the state of each open stream, null when it has ended.",
            cleanup_policy="compact",
            # Restoring reads a partition from its start: small, often cleaned segments keep that short. The newest
            # segment is never cleaned, and 1,000 calls write some 8 MB/s: the default of 1 GiB would be all of it.
            config={
                "segment.ms": str(HOUR_MS // 6),
                "segment.bytes": str(64 * 1024 * 1024),
                "min.cleanable.dirty.ratio": "0.1",
                # A call that is to be forgotten is cleaned away within an hour, also where little else is written.
                "max.compaction.lag.ms": str(HOUR_MS),
            },
        )
        self.dead_letters = Topic(
            f"{prefix}dead-letters",
            "Messages that could not be used, as they came; headers say why.",
            partitions=1,
            # They hold audio: kept as long as where it came from, and a producer that goes wrong fills no disk.
            retention_ms=self.call_audio.retention_ms,
            retention_bytes=1024**3,
            # A dead letter carries the largest message that call-audio takes, and its own headers.
            max_message_bytes=2 * 1024 * 1024,
            # Whole segments are deleted: small ones keep the bound.
            config=_SOUND | {"segment.bytes": str(64 * 1024 * 1024)},
        )

    @property
    def all(self) -> tuple[Topic, ...]:
        """Every topic, in the order in which audio flows."""
        return (
            self.call_audio,
            self.emotion_events,
            self.emotion_labels,
            self.models,
            self.worker_state,
            self.dead_letters,
        )
