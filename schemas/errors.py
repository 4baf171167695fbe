"""Errors that a person can act on."""


class UserError(Exception):
    """A mistake or a missing part outside the program: one line that says what is wrong and what to do.

    The command line prints the line and exits with status 2; nothing else may catch it to go on silently.
    """
