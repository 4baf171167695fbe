"""What a command needs beside what every installation has."""

from importlib.util import find_spec

from schemas.errors import MissingExtra


def require(extra: str, what: str, *modules: str) -> None:
    """Ask for an extra before a command loads it.

    Raises:
        MissingExtra: one of `modules` is not installed.
    """
    if any(find_spec(module) is None for module in modules):
        raise MissingExtra(what, extra)
