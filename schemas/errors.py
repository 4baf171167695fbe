"""Errors that a person can act on."""


class UserError(Exception):
    """A mistake or a missing part outside the program: one line that says what is wrong and what to do.

    The command line prints the line and exits with status 2; nothing else may catch it to go on silently.
    """


def one_line(text: object, limit: int = 200) -> str:
    """`text` as part of such a line: parts of it are a stranger's, who may send line breaks and terminal codes."""
    line = " ".join(str(text).split())[:limit]
    return "".join(character if character.isprintable() else "?" for character in line)
