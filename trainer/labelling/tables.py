"""Suggestions for people, and for programs."""

import json
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from trainer.labelling.heard import Utterance
from trainer.labelling.suggestions import Suggestion


def suggestions_table(found: Sequence[Suggestion]) -> Table:
    """A row for each; the id stands for the utterance in `undertone label` and `undertone audio`."""
    table = Table("event", "stream", "s", "why", box=None)
    table.columns[0].no_wrap = True
    for one in found:
        start, end = one.utterance.seconds
        table.add_row(one.utterance.id, Text(one.utterance.stream), f"{start:.1f} to {end:.1f}", one.why)
    return table


def json_line(utterance: Utterance) -> str:
    """The event's data, with its id as a label names it."""
    return json.dumps({"event_id": utterance.id} | utterance.said.model_dump(mode="json", exclude_none=True))
