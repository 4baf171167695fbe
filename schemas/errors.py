"""Errors that a person can act on."""


class UserError(Exception):
    """A mistake or a missing part outside the program: one line that says what is wrong and what to do.

    The command line prints the line and exits with status 2; nothing else may catch it to go on silently.
    """


def one_line(text: object, limit: int = 200) -> str:
    """`text` as part of such a line: parts of it are a stranger's, who may send line breaks and terminal codes."""
    line = " ".join(str(text).split())[:limit]
    return "".join(character if character.isprintable() else "?" for character in line)


# Extras of the package, and the make target that installs each into a clone's .venv.
_TARGETS = {"console": "install", "analysis": "install", "trainer": "install-trainer"}


class MissingExtra(UserError):
    """Packages that are installed only when asked for: the line names the make target, and the extra for pip."""

    def __init__(self, what: str, extra: str) -> None:
        pip = f"pip install '.[{extra}]'"
        target = _TARGETS.get(extra)
        how = f"run `make {target}` in the clone (without make: {pip})" if target else f"run `{pip}` in the clone"
        super().__init__(f"{what}: {how}")
