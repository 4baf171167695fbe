"""From rows of the stream table to the events that say what was predicted, all streams of a round at once.

An event's fields are columns over the events of a round, in the order of the models in `schemas/events.py`. To make a
model of each event and to dump it cost as much as the whole front end, a dict of each still a third of that.
`tests/inference/test_events.py` holds the two together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.audio import Role
from schemas.card import BLOCK_MS, STEPS_PER_BLOCK
from schemas.events import NO_SPEECH, WrittenEvent
from undertone.acoustics.frames import HOPS_PER_SECOND
from undertone.acoustics.level import dbfs
from undertone.inference.caller_memory import Measured, relative
from undertone.inference.event_json import Column, json_of, numbers, strings, write_events
from undertone.inference.model import Model, softmax
from undertone.inference.records import NO_OFFSET
from undertone.inference.streams import StreamTable

STEP_SECONDS = BLOCK_MS / STEPS_PER_BLOCK / 1000

Rows = NDArray[np.intp]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Fields = dict[str, Any]  # a column by field, or what all events of a round have in common


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

    def updates(self, said: Utterances) -> list[WrittenEvent]:
        """Of open segments, up to the last whole block."""
        return self._segments(said, "update", said.rows["clock"], {})

    def segments(self, said: Utterances, ended_by: str) -> list[WrittenEvent]:
        """Of segments that have ended; each ends with its last speech."""
        return self._segments(said, "segment", said.rows["speech_end"], {"ended_by": ended_by})

    def summary(self, row: int, model: Model, ended_by: str | None) -> WrittenEvent:
        """The whole stream: the mean of its segments' log-probabilities, weighted by their steps of speech."""
        index = np.array([row])
        rows, labels = self._table.rows[index], len(model.card.labels)
        steps = rows["total_steps"]
        emotions = _NOTHING_SAID
        if steps[0]:
            emotions = _emotions(model, softmax(self._table.totals[index, :labels] / steps[0]))
        said = {
            **emotions,
            **_voices(rows, "total_frames", "total_energy", "total_log_pitch", "total_voiced"),
            "speech_s": _seconds(steps),
            "relative": None,
        }
        more = {"ended_by": ended_by, "segments": numbers(rows["segments"])}
        span = rows["first_sample"], rows["last_sample"]
        (event,) = self._write("summary", index, rows, model, span, rows["stream_offset"], said, more)
        return event

    def _segments(self, said: Utterances, kind: str, ends: Integers, more: Fields) -> list[WrittenEvent]:
        rows = said.rows
        against = relative(rows, said.measured)
        fields = {
            **_emotions(said.model, said.probabilities),
            **_voices(rows, "speech_frames", "energy", "log_pitch", "voiced"),
            "speech_s": _seconds(rows["steps"]),
            "relative": {measure: numbers(values) for measure, values in against.items()},
        }
        span = rows["segment_start"], ends
        return self._write(kind, said.index, rows, said.model, span, rows["segment_offset"], fields, more)

    def _write(
        self,
        kind: str,
        index: Rows,
        rows: NDArray[np.void],
        model: Model,
        span: tuple[Integers, Integers],
        first_offsets: Integers,
        said: Fields,
        more: Fields,
    ) -> list[WrittenEvent]:
        streams = [self._table.names[row] for row in index.tolist()]
        calls, _, channels = zip(*(stream.partition("/") for stream in streams), strict=True)
        offsets = zip(index.tolist(), first_offsets.tolist(), rows["last_offset"].tolist(), strict=True)
        audio, last = zip(*(self._audio(*of_event) for of_event in offsets), strict=True)
        data = {
            "call_id": strings(calls),
            "channel": strings(channels),
            "role": strings([Role.AGENT if agent else Role.CUSTOMER for agent in rows["agent"].tolist()]),
            "start_sample": numbers(span[0]),
            "end_sample": numbers(span[1]),
            "sample_rate": numbers(rows["rate"]),
            **{name: said[name] for name in _SAID},
            "model_version": model.card.version,
            "audio": list(audio),
            "type": kind,
            **more,
        }
        starts, ends = rows["start_us"], _end_us(rows["start_us"], span[1], rows["rate"])
        return write_events(data, streams, _moments(starts), _moments(ends), last)

    def _audio(self, row: int, first_offset: int, last_offset: int) -> tuple[str, tuple[int, int] | None]:
        """Where the sound lies, as JSON, and partition and offset of its end."""
        topic = self._table.topics[row]
        if not topic or first_offset == NO_OFFSET:
            return "null", None
        partition = int(self._table.partition[row])
        offsets = f'"first_offset":{first_offset},"last_offset":{last_offset}'
        return f'{{"topic":{json_of(topic)},"partition":{partition},{offsets}}}', (partition, last_offset)


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


def _seconds(steps: NDArray[np.integer]) -> Column:
    return numbers(np.round(steps * STEP_SECONDS, 3))


def _end_us(start_us: Integers, samples: Integers, rates: NDArray[np.integer]) -> Integers:
    """The moment of each event's end, rounded as `timedelta(seconds=samples / rate)` rounds."""
    fractions, whole = np.modf(samples / rates)
    return start_us + whole.astype(np.int64) * 1_000_000 + np.rint(fractions * 1e6).astype(np.int64)


def _moments(us: Integers) -> list[str]:
    """Microseconds since 1970 as `datetime.isoformat` writes them, without the zone."""
    return [text.removesuffix(".000000") for text in np.datetime_as_string(us.astype("M8[us]")).tolist()]


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


def _emotions(model: Model, probabilities: Floats) -> Fields:
    shares, places = model.affect.groups(probabilities), model.affect.arousal_valence(probabilities)
    # Six digits: finer differences are those of the arithmetic, not of the voice.
    return {
        "label": strings(model.label(probabilities)),
        "probabilities": _by_name(model.card.labels, np.round(probabilities, 6)),
        "group": strings(model.group(shares)),
        "groups": _by_name(model.affect.names, np.round(shares, 6)) or None,
        "arousal": None if places is None else numbers(np.round(places[:, 0], 4)),
        "valence": None if places is None else numbers(np.round(places[:, 1], 4)),
    }


def _by_name(names: Sequence[str], values: Floats) -> dict[str, Column]:
    return {name: numbers(values[:, k]) for k, name in enumerate(names)}


def _voices(rows: NDArray[np.void], frames: str, energy: str, log_pitch: str, voiced: str) -> Fields:
    levels = zip(_levels(rows, energy, frames).tolist(), rows[frames].tolist(), strict=True)
    pitches = zip(np.exp(rows[log_pitch] / np.maximum(rows[voiced], 1)).tolist(), rows[voiced].tolist(), strict=True)
    return {
        "level_dbfs": numbers([round(level, 2) if heard else None for level, heard in levels]),
        "pitch_hz": numbers([round(pitch, 1) if points else None for pitch, points in pitches]),
    }
