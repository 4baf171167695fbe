"""The command line as a page: `docs/reference/command-line.md`, made of the same declarations as `--help`.

python -m undertone.cli.reference > docs/reference/command-line.md
"""

import inspect
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

import typer
from typer.models import ArgumentInfo, OptionInfo

from undertone.cli.main import app

_HEAD = """# Command line

Written by `make docs`; `undertone COMMAND --help` shows the same. An option wins over the environment variable of the
same name ([settings](settings.md)). A command ends with 0 when all went well, with 2 and one line after a mistake that
a person can mend, with 130 after Ctrl-C; what 1 means is said where it occurs.
"""
_VALUES: dict[type, str] = {str: "text", int: "number", float: "number", Path: "path", bool: ""}


class Parameter(NamedTuple):
    """One argument or option of a command, as its function declares it."""

    name: str
    kind: Any
    default: Any
    info: OptionInfo | ArgumentInfo


def command_line_page() -> str:
    """Every command with its arguments and options, as Markdown."""
    return "\n".join((_HEAD, *(_section(name, function) for name, function in _commands(app, "undertone"))))


def _commands(parent: typer.Typer, prefix: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """(full name, function) of the commands of an app and of those below it."""
    for command in parent.registered_commands:
        if command.callback:
            yield f"{prefix} {command.name or command.callback.__name__}", command.callback
    for group in parent.registered_groups:
        if group.typer_instance:
            # A subcommand's own app has no name: its command stands on the first level.
            name = group.name if isinstance(group.name, str) else None
            own = group.typer_instance.registered_callback
            if name and own and own.callback:  # a group that is a command as well
                yield f"{prefix} {name}", own.callback
            yield from _commands(group.typer_instance, f"{prefix} {name}" if name else prefix)


def _section(name: str, function: Callable[..., Any]) -> str:
    parameters = [
        _parameter(one.name, one.annotation, one.default)
        for one in inspect.signature(function).parameters.values()
        if one.annotation is not typer.Context
    ]
    arguments = [one.name for one in parameters if isinstance(one.info, ArgumentInfo)]
    usage = " ".join([name, *(["[OPTIONS]"] if len(arguments) < len(parameters) else []), *arguments])
    lines = [f"## {name}\n", f"```\n{usage}\n```\n", *_text(function)]
    if parameters:
        lines += ["| | value | default | |", "|---|---|---|---|", *map(_row, parameters), ""]
    return "\n".join(lines)


def _parameter(name: str, annotation: Any, default: Any) -> Parameter:
    kind, info = get_args(annotation)
    if isinstance(info, OptionInfo):
        # Inside of Annotated, Typer keeps the first name of typer.Option("--name") where a default would stand.
        declared = [one for one in (info.default, *(info.param_decls or ())) if isinstance(one, str)]
        name = ", ".join(declared) or f"--{name.replace('_', '-')}"
    else:
        name = info.metavar or name.upper()
    # `X | None` and `list[X]` take the values of X.
    while get_origin(kind) in (Union, UnionType, list):
        kind = next(one for one in get_args(kind) if one is not NoneType)
    return Parameter(name, kind, default, info)


def _text(function: Callable[..., Any]) -> Iterator[str]:
    """The function's docstring; the indented lines of its examples become one block of code."""
    examples: list[str] = []
    for paragraph in (inspect.getdoc(function) or "").split("\n\n"):
        if paragraph.startswith("    "):
            examples.append(paragraph.strip())
        elif paragraph != "Examples:":
            yield paragraph + "\n"
    if examples:
        yield "\n".join(["```sh", *examples, "```\n"])


def _row(one: Parameter) -> str:
    cells = (f"`{one.name}`", _values(one), _default(one), one.info.help or "")
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"


def _values(one: Parameter) -> str:
    info = one.info
    if isinstance(info, ArgumentInfo):
        return ""
    if info.metavar:
        return f"`{info.metavar}`"
    if issubclass(one.kind, StrEnum):
        return ", ".join(f"`{value}`" for value in one.kind)
    if info.min is not None:
        return f"{info.min} to {info.max}" if info.max is not None else f"at least {info.min}"
    return "folder" if one.kind is Path and not info.file_okay else _VALUES[one.kind]


def _default(one: Parameter) -> str:
    """The default, unless the option's own text tells it."""
    if one.default is inspect.Parameter.empty:
        return "required"
    told = not one.info.show_default or one.default is None or one.default is False
    return "" if told else f"`{one.default}`"


if __name__ == "__main__":
    print(command_line_page(), end="")
