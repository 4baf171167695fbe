"""What the text protocols have in common: JSON that a stranger sent, read with one clear line for what is wrong."""

import json
from collections.abc import Mapping
from typing import Any

from schemas.errors import one_line
from undertone.gateway.refusals import MalformedMessage

# Times and counts on a wire; more is no number of milliseconds that a call could last, and JSON keeps it exact.
_MAX_NUMBER = 2**53


def json_object(message: str | bytes) -> dict[str, Any]:
    """The JSON object in a text message.

    Raises:
        MalformedMessage: a binary message, no JSON, or JSON that is no object.
    """
    if isinstance(message, bytes):
        raise MalformedMessage("a binary message: want JSON as text")
    try:
        found = json.loads(message)
    except RecursionError:
        raise MalformedMessage("JSON nested too deeply") from None
    except ValueError as error:  # JSONDecodeError, and a number of more than 4,300 digits
        raise MalformedMessage(f"no JSON: {one_line(error, 80)}") from None
    if not isinstance(found, dict):
        raise MalformedMessage(f"JSON {type(found).__name__}: want an object")
    return found


def at(message: Mapping[str, Any], path: str) -> Any:
    """What stands at a dotted path, `start.mediaFormat.encoding`; None where there is nothing."""
    found: Any = message
    for name in path.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def text_at(message: Mapping[str, Any], path: str) -> str | None:
    """A string or a number at a path, as text; None where there is none, or an empty one.

    Raises:
        MalformedMessage: something else stands there.
    """
    found = at(message, path)
    if found is None or found == "":
        return None
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise MalformedMessage(f"{path} is {type(found).__name__}: want a string")
    return str(found)


def whole_number_at(message: Mapping[str, Any], path: str) -> int | None:
    """A whole number at a path, which some write as a string; None where there is none.

    Raises:
        MalformedMessage: something else stands there.
    """
    found = at(message, path)
    if found is None or found == "":
        return None
    if isinstance(found, str) and len(found) <= 16 and found.isascii() and found.isdigit():
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < _MAX_NUMBER:
        raise MalformedMessage(f"{path} is {_shown(found)}: want a whole number")
    return found


def _shown(found: Any) -> str:
    """A scalar as it is; of what is nested only its kind, for as deep as it was read it cannot always be written."""
    return type(found).__name__ if isinstance(found, dict | list) else repr(one_line(found, 40))
