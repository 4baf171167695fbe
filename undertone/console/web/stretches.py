"""A label for a stretch of a stream that is no utterance of the model's."""

from pydantic import BaseModel, ConfigDict, Field

from schemas.audio import MAX_SAMPLE, CallId, Channel
from schemas.labels import EmotionLabel, LabelEnvelope
from undertone.console.web.known import Known
from undertone.console.web.labels import Labels, NoEvent, around
from undertone.console.web.sound import SoundGone, Sounds
from undertone.console.web.whereabouts import Whereabouts, whereabouts

# Shorter ones say nothing, of longer ones the trainer takes none.
_LEAST_S, _MOST_S = 0.25, 60.0


class Stretch(BaseModel):
    """Samples [start, end) of a stream."""

    model_config = ConfigDict(extra="forbid")

    call: CallId
    channel: Channel
    start: int = Field(ge=0, lt=MAX_SAMPLE)
    end: int = Field(ge=0, lt=MAX_SAMPLE)


class StretchLabels:
    """Labels them. `where` looks at what the console knows, and is to be called in its event loop."""

    def __init__(self, known: Known, sounds: Sounds, labels: Labels) -> None:
        self._known = known
        self._sounds = sounds
        self._labels = labels

    async def where(self, stretch: Stretch) -> Whereabouts:
        """Where its stream's sound is.

        Raises:
            NoEvent: no event that is known tells, or it is no stretch of what they speak of.
        """
        found = whereabouts(await self._known.of_call(stretch.call)).get(stretch.channel)
        if found is None or stretch.end > found.known:
            raise NoEvent(f"no event that is known speaks of this stretch of {stretch.call}/{stretch.channel}")
        seconds = (stretch.end - stretch.start) / found.rate
        if not _LEAST_S <= seconds <= _MOST_S:
            raise NoEvent(f"{seconds:.2f} s: a label is for {_LEAST_S:g} s to {_MOST_S:g} s")
        return found

    def send(self, stretch: Stretch, where: Whereabouts, label: tuple[str, str, bool]) -> LabelEnvelope:
        """Send a label (emotion, by whom, whether it is withdrawn); return once Kafka has it.

        Raises:
            NoEvent: its sound is gone.
            Away: Kafka does not answer, or has not taken it.
        """
        emotion, by, withdrawn = label
        try:
            audio = self._sounds.span(where, stretch.start, stretch.end)
        except SoundGone:
            raise NoEvent("Kafka does not hold the sound of this stretch any more") from None
        sent = around(
            EmotionLabel(
                call_id=stretch.call,
                channel=stretch.channel,
                emotion=emotion,
                labelled_by=by,
                start_sample=stretch.start,
                end_sample=stretch.end,
                sample_rate=8000 if where.rate == 8000 else 16000,
                audio=audio,
                withdrawn=withdrawn,
            )
        )
        self._labels.give(sent)
        return sent
