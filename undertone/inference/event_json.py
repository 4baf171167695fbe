"""Events as JSON, a column at a time: what all of them have in common is written once.

A column is one field's JSON of each of n events. Bytes are those that the models in `schemas/events.py` would write.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json

from schemas.events import WrittenEvent, event_id

Column = list[str]


def json_of(value: Any) -> str:
    """One value."""
    return to_json(value).decode()


def numbers(values: NDArray[Any] | Sequence[float | None]) -> Column:
    """Of at least one number; None is null."""
    return json_of(values.tolist() if isinstance(values, np.ndarray) else values)[1:-1].split(",")


def strings(values: Iterable[str | None]) -> Column:
    """Of texts in which JSON has nothing to escape, as names of streams, labels and groups; None is null."""
    return ["null" if value is None else f'"{value}"' for value in values]


def write_events(
    data: dict[str, Any],
    streams: Sequence[str],
    starts: Sequence[str],
    ends: Sequence[str],
    last: Sequence[tuple[int, int] | None],
) -> list[WrittenEvent]:
    """Write n events of one type.

    Args:
        data: the fields of their model, in its order: each a column, a dict of such fields, or what all have in common.
        streams, starts, ends: of each event, its stream, the moment of that one's first sample, and that of its own
            end; moments in UTC, without the zone.
        last: of each, partition and offset of the last audio that it speaks of.
    """
    kind, samples = data["type"], zip(data["start_sample"], data["end_sample"], strict=True)
    ids = [
        event_id(stream, f"{start}+00:00", kind, *span)
        for stream, start, span in zip(streams, starts, samples, strict=True)
    ]
    envelope = {
        "specversion": "1.0",
        "id": strings(ids),
        "source": "/undertone/worker",
        "type": f"undertone.emotion.{kind}.v1",
        "subject": strings(streams),
        "time": strings(f"{end}Z" for end in ends),
        "datacontenttype": "application/json",
        "data": data,
    }
    columns: list[Column] = []
    line = _line(envelope, columns)
    values = [(line % row).encode() for row in zip(*columns, strict=True)]
    return [WrittenEvent(*event) for event in zip(streams, [kind] * len(streams), values, last, strict=True)]


def _line(value: Any, columns: list[Column]) -> str:
    """A format of `value`, and in `columns` what goes into it."""
    if isinstance(value, list):
        columns.append(value)
        return "%s"
    if isinstance(value, dict):
        return "{" + ",".join([f'"{name}":{_line(one, columns)}' for name, one in value.items()]) + "}"
    return json_of(value).replace("%", "%%")
