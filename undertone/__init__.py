"""Undertone listens to live calls and says how they feel, continuously.

These names are its public face, and the only ones that other code may rely on: a new version changes them only as
its changelog says. They are loaded when they are first asked for, so `import undertone` itself costs nothing.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.events import EventEnvelope, Segment, Summary, Update
    from undertone.inference.call_stream import CallStream
    from undertone.inference.engine import Engine
    from undertone.inference.model import Model

    __version__: str
else:  # a type checker that saw it would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Load a public name (PEP 562)."""
        if name == "__version__":
            value: object = version("undertone")
        elif name in _HOME:
            value = getattr(import_module(_HOME[name]), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


__all__ = ["CallStream", "Engine", "EventEnvelope", "Model", "Segment", "Summary", "Update", "__version__"]

_HOME = {
    "CallStream": "undertone.inference.call_stream",
    "Engine": "undertone.inference.engine",
    "EventEnvelope": "schemas.events",
    "Model": "undertone.inference.model",
    "Segment": "schemas.events",
    "Summary": "schemas.events",
    "Update": "schemas.events",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
