"""What the worker's metrics say of the emotions that it has heard: shares of labels, speech, level, turns.

Everything is told for all streams together, by the role of who speaks and, where queues are named, by queue: which call
it was is in the events.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.audio import AudioChunk, Role
from schemas.events import UNCERTAIN, WrittenEvent
from undertone.inference.intake import FeedResult

# Telephone speech lies around -25 dBFS; beyond -10 it is driven too hard, below -50 hardly to be heard.
_LEVEL_BUCKETS = (-60, -55, -50, -45, -40, -35, -30, -25, -20, -15, -10, -5, 0)
# Less displeasure than this is a word; the console calls attention to a call at 6 s within half a minute.
LASTS_S = 10.0
# The queue of calls whose ids begin with none of the names.
OTHER_QUEUE = "other"
_GROUPS = {"negative": -1.0, "neutral": 0.0, "positive": 1.0}


Voice = tuple[str, ...]
"""The labels of whose speech it is: role, and queue where queues are named."""


@dataclass(slots=True)
class _Mood:
    """How the last utterance of a stream sounded that was not uncertain."""

    voice: Voice
    weight: float
    negative_since: int | None  # the sample at which the displeasure of now began
    lasts: bool = False


class EmotionMetrics:
    """A part of `WorkerMetrics`, in its registry. `queues` are beginnings of calls' ids."""

    def __init__(self, registry: CollectorRegistry, queues: Collection[str] = ()) -> None:
        # The longest first: a call is in the queue that says most of its id.
        self._queues = sorted(queues, key=len, reverse=True)
        of = ["role", "queue"] if queues else ["role"]
        self.audio_seconds = Counter("undertone_audio_seconds", "Seconds of audio analysed.", of, registry=registry)
        self.speech_seconds = Counter(
            "undertone_speech_seconds", "Seconds of speech by its label.", ["label", *of], registry=registry
        )
        self.segments = Counter("undertone_segments", "Utterances by label.", ["label", *of], registry=registry)
        self.level = Histogram(
            "undertone_speech_level_dbfs", "Level of utterances.", ["role"], buckets=_LEVEL_BUCKETS, registry=registry
        )
        self.turns = Counter(
            "undertone_turns_for_the_worse",
            "Utterances in displeasure after one that was not.",
            of,
            registry=registry,
        )
        self.lasting = Gauge(
            "undertone_lasting_displeasure_streams",
            "Open streams whose displeasure lasts.",
            of,
            registry=registry,
        )
        self._moods: dict[tuple[int, str], _Mood] = {}
        customer = Role.CUSTOMER.value
        self._voices: set[Voice] = {(customer, name) for name in (*queues, OTHER_QUEUE)} if queues else {(customer,)}
        self._labels: Collection[str] = ()

    def begin_at_zero(self, labels: Collection[str]) -> None:
        """A series that begins with its first utterance would hide it from every increase."""
        if labels == self._labels:
            return
        self._labels = labels
        for voice in self._voices:
            self._begin(voice)

    def _begin(self, voice: Voice) -> None:
        self._voices.add(voice)
        for label in (*self._labels, UNCERTAIN):
            self.speech_seconds.labels(label, *voice)
            self.segments.labels(label, *voice)
        for metric in (self.audio_seconds, self.turns, self.lasting):
            metric.labels(*voice)
        self.level.labels(voice[0])

    def _voice(self, role: str, call: str) -> Voice:
        if not self._queues:
            return (role,)
        return role, next((name for name in self._queues if call.startswith(name)), OTHER_QUEUE)

    def count(self, chunks: Iterable[AudioChunk], refused: Collection[AudioChunk], result: FeedResult) -> None:
        """Count a batch that has been committed."""
        unheard = {id(chunk) for chunk in refused}
        seconds: defaultdict[Voice, float] = defaultdict(float)
        for chunk in chunks:
            # Agents are analysed or they are not: where one chunk of theirs is skipped, all are.
            if not (id(chunk) in unheard or (result.skipped and chunk.role is Role.AGENT)):
                seconds[self._voice(chunk.role, chunk.call_id)] += chunk.samples / chunk.sample_rate
        for voice, heard in seconds.items():
            self._audio(voice, heard)
        for event in result.written:
            if event.kind == "segment":
                self._segment(event)
            elif event.kind == "summary":
                self._drop(_stream(event))

    def _audio(self, voice: Voice, seconds: float) -> None:
        if voice not in self._voices:
            self._begin(voice)
        self.audio_seconds.labels(*voice).inc(seconds)

    def _segment(self, event: WrittenEvent) -> None:
        data = event.data
        label, voice = data["label"], self._voice(data["role"], data["call_id"])
        self.segments.labels(label, *voice).inc()
        self.speech_seconds.labels(label, *voice).inc(data["speech_s"])
        if data["level_dbfs"] is not None:
            self.level.labels(data["role"]).observe(data["level_dbfs"])
        weight = _weight(data)
        if weight is not None:
            self._mood(_stream(event), voice, weight, data)

    def _mood(self, stream: tuple[int, str], voice: Voice, weight: float, data: Mapping[str, Any]) -> None:
        before = self._moods.get(stream)
        if before and weight < 0 <= before.weight:
            self.turns.labels(*voice).inc()
        since = None
        if weight < 0:
            since = data["start_sample"] if not before or before.negative_since is None else before.negative_since
        lasts = since is not None and (data["end_sample"] - since) / data["sample_rate"] >= LASTS_S
        self._drop(stream)
        self._moods[stream] = _Mood(voice, weight, since, lasts)
        if lasts:
            self.lasting.labels(*voice).inc()

    def _drop(self, stream: tuple[int, str]) -> None:
        mood = self._moods.pop(stream, None)
        if mood and mood.lasts:
            self.lasting.labels(*mood.voice).dec()

    def forget_partition(self, partition: int) -> None:
        """Its streams are another worker's now."""
        for stream in [stream for stream in self._moods if stream[0] == partition]:
            self._drop(stream)


def _stream(event: WrittenEvent) -> tuple[int, str]:
    return event.last[0] if event.last else -1, event.subject


def _weight(data: Mapping[str, Any]) -> float | None:
    """Below 0 is displeasure; None where nobody can tell. By the model's groups, or else by valence."""
    if UNCERTAIN in (data["label"], data["group"]):
        return None
    return _GROUPS.get(data["group"] or "", data["valence"])
