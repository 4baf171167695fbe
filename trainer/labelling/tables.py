"""Suggestions for people, and for programs."""

import json
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote

from rich.table import Table
from rich.text import Text

from trainer.labelling.heard import Utterance
from trainer.labelling.suggestions import Suggestion


def suggestions_table(found: Sequence[Suggestion], console: str | None) -> Table:
    """A row for each; the id stands for the utterance in `undertone label` and `undertone audio`."""
    table = Table("event", "stream", "s", "why", box=None)
    table.columns[0].no_wrap = True
    if console:
        table.add_column("sound", overflow="fold")
    for one in found:
        start, end = one.utterance.seconds
        sound = [Text(sound_of(one.utterance, console))] if console else []
        table.add_row(one.utterance.id, Text(one.utterance.stream), f"{start:.1f} to {end:.1f}", one.why, *sound)
    if not console:
        table.caption = "undertone audio EVENT --output heard.wav writes what one sounds like"
        table.caption_justify = "left"
    return table


def json_line(utterance: Utterance, console: str | None) -> str:
    """The event's data, with its id as a label names it, and how to hear it."""
    known = {"event_id": utterance.id, "sound": sound_of(utterance, console)}
    return json.dumps(known | utterance.said.model_dump(mode="json", exclude_none=True))


def sound_of(utterance: Utterance, console: str | None) -> str:
    """The address of an utterance's sound in a console; without one the command that writes it."""
    if not console:
        return f"undertone audio {utterance.id} --output {utterance.id}.wav"
    said, (start, end) = utterance.said, utterance.seconds
    began = utterance.ended - timedelta(seconds=end - start)
    first, last = (round(moment.timestamp() * 1000) for moment in (began, utterance.ended))
    place = f"api/calls/{quote(said.call_id, safe='')}/audio/{quote(said.channel, safe='')}.wav"
    return f"{console.rstrip('/')}/{place}?from={first}&to={last}"
