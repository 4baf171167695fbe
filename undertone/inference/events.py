"""From a row of the stream table to the event that says what was predicted."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.audio import Role
from schemas.card import BLOCK_MS, STEPS_PER_BLOCK
from schemas.events import NO_SPEECH, AudioSpan, EventEnvelope, Segment, Summary, Update
from undertone.acoustics.frames import hop_samples
from undertone.acoustics.level import dbfs
from undertone.inference.caller_memory import Measured, relative
from undertone.inference.model import Model, softmax
from undertone.inference.records import NO_OFFSET
from undertone.inference.streams import StreamTable, start_time

STEP_SECONDS = BLOCK_MS / STEPS_PER_BLOCK / 1000


class EventWriter:
    """Writes the events of one stream table."""

    def __init__(self, table: StreamTable) -> None:
        self._table = table

    def update(self, row: int, model: Model) -> EventEnvelope:
        """The open segment so far, up to the last whole block."""
        fields = self._table.rows[row]
        said = self._segment_so_far(row, model)
        return self._envelope(row, Update(end_sample=int(fields["clock"]), **said))

    def segment(self, row: int, model: Model, ended_by: Any) -> EventEnvelope:
        """A segment that has ended; it ends with its last speech."""
        fields = self._table.rows[row]
        said = self._segment_so_far(row, model)
        return self._envelope(row, Segment(end_sample=int(fields["speech_end"]), ended_by=ended_by, **said))

    def summary(self, row: int, model: Model, ended_by: Any) -> EventEnvelope:
        """The whole stream: the mean of its segments' log-probabilities, weighted by their steps of speech."""
        fields = self._table.rows[row]
        labels, steps = model.card.labels, int(fields["total_steps"])
        said: dict[str, Any] = {"label": NO_SPEECH, "probabilities": {}}
        if steps:
            said = self._say(model, softmax(self._table.totals[row, : len(labels)] / steps))
        summary = Summary(
            **self._stream(row, model, fields["stream_offset"]),
            **said,
            **self._voice(
                fields["total_frames"],
                fields["total_energy"],
                fields["total_log_pitch"],
                fields["total_voiced"],
                fields["rate"],
            ),
            start_sample=int(fields["first_sample"]),
            end_sample=int(fields["last_sample"]),
            speech_s=round(steps * STEP_SECONDS, 3),
            segments=int(fields["segments"]),
            ended_by=ended_by,
        )
        return self._envelope(row, summary)

    def measured(self, row: int, model: Model) -> Measured:
        """What the caller's memory is made of, of the open segment."""
        fields = self._table.rows[row]
        frames, voiced, steps = (int(fields[name]) for name in ("speech_frames", "voiced", "steps"))
        level = float(dbfs(fields["energy"], frames * hop_samples(int(fields["rate"])))) if frames else 0.0
        # Of the utterance alone: a class prior that expects calm presses all arousal of an event towards none.
        logits = self._table.logits[row : row + 1, : len(model.card.labels)]
        place = model.affect.arousal_valence(model.alone(logits)[0])
        return {
            "level": (level, frames) if frames else None,
            "pitch": (float(fields["log_pitch"]) / voiced, voiced) if voiced else None,
            "arousal": (place[0], steps) if place and steps else None,
        }

    def _segment_so_far(self, row: int, model: Model) -> dict[str, Any]:
        fields = self._table.rows[row]
        return {
            **self._stream(row, model, fields["segment_offset"]),
            **self._say(model, self.probabilities(row, model)),
            "relative": relative(fields, self.measured(row, model)),
            **self._voice(
                fields["speech_frames"], fields["energy"], fields["log_pitch"], fields["voiced"], fields["rate"]
            ),
            "start_sample": int(fields["segment_start"]),
            "speech_s": round(int(fields["steps"]) * STEP_SECONDS, 3),
        }

    def probabilities(self, row: int, model: Model) -> NDArray[np.float64]:
        """Of the open segment's emotions, in the light of what the caller has sounded like."""
        table, labels = self._table, len(model.card.labels)
        offset = model.caller_normal.offset(table.heard[row, :labels], int(table.rows[row]["heard_steps"]))
        return model.probabilities(table.logits[row : row + 1, :labels], offset)[0]

    def _stream(self, row: int, model: Model, first_offset: int) -> dict[str, Any]:
        call_id, _, channel = self._table.names[row].partition("/")
        fields = self._table.rows[row]
        audio, topic = None, self._table.topics[row]
        if topic and first_offset != NO_OFFSET:
            audio = AudioSpan(
                topic=topic,
                partition=int(self._table.partition[row]),
                first_offset=int(first_offset),
                last_offset=int(fields["last_offset"]),
            )
        return {
            "call_id": call_id,
            "channel": channel,
            "role": Role.AGENT if fields["agent"] else Role.CUSTOMER,
            "sample_rate": int(fields["rate"]),
            "model_version": model.card.version,
            "audio": audio,
        }

    def _say(self, model: Model, probabilities: NDArray[np.float64]) -> dict[str, Any]:
        # Six digits: finer differences are those of the arithmetic, not of the voice.
        rounded = {name: round(float(p), 6) for name, p in zip(model.card.labels, probabilities, strict=True)}
        groups, place = model.affect.groups(probabilities), model.affect.arousal_valence(probabilities)
        return {
            "label": model.label(probabilities),
            "probabilities": rounded,
            "group": model.group(groups),
            "groups": {name: round(p, 6) for name, p in groups.items()} or None,
            "arousal": None if place is None else round(place[0], 4),
            "valence": None if place is None else round(place[1], 4),
        }

    def _voice(self, frames: int, energy: int, log_pitch: float, voiced: int, rate: int) -> dict[str, float | None]:
        level = round(float(dbfs(energy, frames * hop_samples(int(rate)))), 2) if frames else None
        pitch = round(float(np.exp(log_pitch / voiced)), 1) if voiced else None
        return {"level_dbfs": level, "pitch_hz": pitch}

    def _envelope(self, row: int, event: Update | Segment | Summary) -> EventEnvelope:
        return EventEnvelope.around(event, start_time(self._table.rows[row]["start_us"]))
