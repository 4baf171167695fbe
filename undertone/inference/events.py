"""From rows of the stream table to the events that say what was predicted, all streams of a round at once.

Events are written as the JSON that crosses Kafka, field by field in the order of the models in `schemas/events.py`:
to make a model of each and to dump it cost as much as the whole front end. `tests/inference/test_events.py` holds the
two together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.audio import Role
from schemas.card import BLOCK_MS, STEPS_PER_BLOCK
from schemas.events import NO_SPEECH, WrittenEvent, write_event
from undertone.acoustics.frames import HOPS_PER_SECOND
from undertone.acoustics.level import dbfs
from undertone.inference.caller_memory import Measured, relative
from undertone.inference.model import Model, softmax
from undertone.inference.records import NO_OFFSET
from undertone.inference.streams import StreamTable, start_time

STEP_SECONDS = BLOCK_MS / STEPS_PER_BLOCK / 1000

Rows = NDArray[np.intp]
Floats = NDArray[np.float64]
Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Utterances:
    """What is known of the open segments of n rows that one model predicts."""

    index: Rows
    rows: NDArray[np.void]  # [n], a copy
    model: Model
    alone: Floats  # [n, labels], of the utterance alone, before the caller's memory and the class prior
    probabilities: Floats  # [n, labels], in the light of what the caller has sounded like
    measured: Measured


class EventWriter:
    """Writes the events of one stream table."""

    def __init__(self, table: StreamTable) -> None:
        self._table = table

    def utterances(self, index: Rows, model: Model) -> Utterances:
        """The open segments so far of the rows `index`, which `model` predicts."""
        table, labels = self._table, len(model.card.labels)
        rows, logits = table.rows[index], table.logits[index, :labels]
        alone = model.alone(logits)
        offsets = model.caller_normal.offsets(table.heard[index, :labels], rows["heard_steps"])
        probabilities = model.probabilities(logits, offsets)
        return Utterances(index, rows, model, alone, probabilities, _measured(rows, model, alone))

    def updates(self, said: Utterances) -> Iterator[WrittenEvent]:
        """Of open segments, up to the last whole block."""
        return self._segments(said, "update", said.rows["clock"], {})

    def segments(self, said: Utterances, ended_by: str) -> Iterator[WrittenEvent]:
        """Of segments that have ended; each ends with its last speech."""
        return self._segments(said, "segment", said.rows["speech_end"], {"ended_by": ended_by})

    def summary(self, row: int, model: Model, ended_by: str | None) -> WrittenEvent:
        """The whole stream: the mean of its segments' log-probabilities, weighted by their steps of speech."""
        rows = self._table.rows[[row]]
        labels, steps = len(model.card.labels), int(rows["total_steps"][0])
        emotion = _NOTHING_SAID
        if steps:
            (emotion,) = _emotions(model, softmax(self._table.totals[[row], :labels] / steps))
        (voice,) = _voices(rows, "total_frames", "total_energy", "total_log_pitch", "total_voiced")
        span = int(rows["first_sample"][0]), int(rows["last_sample"][0])
        said = {**emotion, **voice, "speech_s": _seconds(steps), "relative": None}
        more = {"ended_by": ended_by, "segments": int(rows["segments"][0])}
        return self._event(row, model, "summary", span, int(rows["stream_offset"][0]), said, more)

    def _segments(self, said: Utterances, kind: str, ends: NDArray[np.int64], more: Fields) -> Iterator[WrittenEvent]:
        rows, model = said.rows, said.model
        columns = zip(
            said.index.tolist(),
            zip(rows["segment_start"].tolist(), ends.tolist(), strict=True),
            rows["segment_offset"].tolist(),
            rows["steps"].tolist(),
            _emotions(model, said.probabilities),
            _voices(rows, "speech_frames", "energy", "log_pitch", "voiced"),
            relative(rows, said.measured),
            strict=True,
        )
        for row, span, offset, steps, emotion, voice, against in columns:
            fields = {**emotion, **voice, "speech_s": _seconds(steps), "relative": against}
            yield self._event(row, model, kind, span, offset, fields, more)

    def _event(
        self, row: int, model: Model, kind: str, span: tuple[int, int], first_offset: int, said: Fields, more: Fields
    ) -> WrittenEvent:
        call_id, _, channel = self._table.names[row].partition("/")
        fields = self._table.rows[row]
        data = {
            "call_id": call_id,
            "channel": channel,
            "role": Role.AGENT.value if fields["agent"] else Role.CUSTOMER.value,
            "start_sample": span[0],
            "end_sample": span[1],
            "sample_rate": int(fields["rate"]),
            **{name: said[name] for name in _SAID},
            "model_version": model.card.version,
            "audio": self._audio(row, first_offset, int(fields["last_offset"])),
            "type": kind,
            **more,
        }
        return write_event(data, start_time(fields["start_us"]))

    def _audio(self, row: int, first_offset: int, last_offset: int) -> Fields | None:
        topic = self._table.topics[row]
        if not topic or first_offset == NO_OFFSET:
            return None
        partition = int(self._table.partition[row])
        return {"topic": topic, "partition": partition, "first_offset": first_offset, "last_offset": last_offset}


_NOTHING_SAID: Fields = {
    "label": NO_SPEECH,
    "probabilities": {},
    "group": None,
    "groups": None,
    "arousal": None,
    "valence": None,
}
# What an event says, in the order of its model.
_SAID = (
    "label",
    "probabilities",
    "speech_s",
    "level_dbfs",
    "pitch_hz",
    "group",
    "groups",
    "arousal",
    "valence",
    "relative",
)


def _seconds(steps: int) -> float:
    return round(steps * STEP_SECONDS, 3)


def _measured(rows: NDArray[np.void], model: Model, alone: Floats) -> Measured:
    """What the caller's memory is made of, of the open segments."""
    frames, voiced, steps = rows["speech_frames"], rows["voiced"], rows["steps"]
    # Of the utterance alone: a class prior that expects calm presses all arousal of an event towards none.
    places = model.affect.arousal_valence(alone)
    arousal = (np.zeros(len(rows)), np.zeros_like(steps)) if places is None else (places[:, 0], steps)
    return {
        "level": (_levels(rows, "energy", "speech_frames"), frames),
        "pitch": (rows["log_pitch"] / np.maximum(voiced, 1), voiced),
        "arousal": arousal,
    }


def _levels(rows: NDArray[np.void], energy: str, frames: str) -> Floats:
    hops = rows["rate"] // HOPS_PER_SECOND
    return dbfs(rows[energy], rows[frames].astype(np.int64) * hops)


def _emotions(model: Model, probabilities: Floats) -> list[Fields]:
    labels, names = model.card.labels, model.affect.names
    shares, places = model.affect.groups(probabilities), model.affect.arousal_valence(probabilities)
    # Six digits: finer differences are those of the arithmetic, not of the voice.
    columns = (
        probabilities.tolist(),
        np.round(probabilities, 6).tolist(),
        shares.tolist(),
        np.round(shares, 6).tolist(),
        [(None, None)] * len(probabilities) if places is None else np.round(places, 4).tolist(),
    )
    return [
        {
            "label": model.label(dict(zip(labels, exact, strict=True))),
            "probabilities": dict(zip(labels, rounded, strict=True)),
            "group": model.group(dict(zip(names, exact_groups, strict=True))),
            "groups": dict(zip(names, groups, strict=True)) or None,
            "arousal": arousal,
            "valence": valence,
        }
        for exact, rounded, exact_groups, groups, (arousal, valence) in zip(*columns, strict=True)
    ]


def _voices(rows: NDArray[np.void], frames: str, energy: str, log_pitch: str, voiced: str) -> Iterator[Fields]:
    pitches = np.exp(rows[log_pitch] / np.maximum(rows[voiced], 1))
    columns = (_levels(rows, energy, frames), rows[frames], pitches, rows[voiced])
    for level, heard, pitch, points in zip(*(column.tolist() for column in columns), strict=True):
        yield {"level_dbfs": round(level, 2) if heard else None, "pitch_hz": round(pitch, 1) if points else None}
