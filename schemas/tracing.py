"""W3C Trace Context: the `traceparent` that a chunk may carry among its headers, and its events then carry, too."""

import re
from collections.abc import Mapping

TRACEPARENT = "traceparent"
# Of any version but ff, as long as it has the form of version 00; ids of zeros name nothing.
_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent_in(headers: Mapping[str, str]) -> str | None:
    """The one among headers; None where there is none, or none that is well formed: no audio is refused for it."""
    text = headers.get(TRACEPARENT)
    return text if text and _FORM.fullmatch(text) else None
