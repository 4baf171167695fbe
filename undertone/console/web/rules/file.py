"""The file of rules: read at the start, and what is wrong with it told with its line."""

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import UserError, one_line
from undertone.console.web.rules.rule import Rule
from undertone.webhooks.request import checked_url

# What stands for no webhook where the file has one for all.
NO_WEBHOOK = "none"
_LONGEST = 1_000_000


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    webhook: str | None = None
    allow_http: bool = False
    rules: list[Rule] = Field(min_length=1, max_length=200)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a file, and where each one's alerts go; a rule that is not in `urls` sends none."""

    rules: tuple[Rule, ...]
    urls: dict[str, httpx.URL]


class _Lines(yaml.SafeLoader):
    """Knows the line of each value, and takes no key twice: YAML itself would take the last and say nothing."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lines: dict[tuple[str | int, ...], int] = {(): 1}

    def walk(self, node: yaml.Node, path: tuple[str | int, ...] = ()) -> None:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            for number, one in enumerate(node.value):
                self.walk(one, (*path, number))
        if isinstance(node, yaml.MappingNode):
            seen: set[Hashable] = set()
            for key, value in node.value:
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"{key.value} stands there twice", problem_mark=key.start_mark)
                seen.add(key.value)
                self.lines[*path, key.value] = key.start_mark.line + 1
                self.walk(value, (*path, key.value))


def read_rules(path: Path) -> Rules:
    """The rules of a file.

    Raises:
        UserError: there is no such file, or something is wrong in it; the line says where.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--rules {path}: {one_line(error)}") from None
    if len(text) > _LONGEST:
        raise UserError(f"--rules {path}: longer than {_LONGEST:,} characters")
    try:
        loader = _Lines(text)
        node = loader.get_single_node()
        if node is None:
            raise _wrong(path, 1, "there is nothing in it; it begins with `rules:`")
        loader.walk(node)
        value = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _wrong(path, mark.line + 1 if mark else 1, one_line(error.problem or error.context)) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _wrong(path, 1, one_line(error)) from None
    return _checked(path, value, loader.lines)


def _checked(path: Path, value: Any, lines: dict[tuple[str | int, ...], int]) -> Rules:
    try:
        found = _File.model_validate(value)
    except ValidationError as error:
        first = min(error.errors(include_url=False), key=lambda one: _line(lines, one["loc"]))
        raise _wrong(path, _line(lines, first["loc"]), _message(first)) from None
    urls, names = {}, set[str]()
    for number, rule in enumerate(found.rules):
        if rule.name in names:
            raise _wrong(path, lines["rules", number, "name"], f"two rules are called {rule.name}")
        names.add(rule.name)
        own = rule.webhook or found.webhook
        if own and own != NO_WEBHOOK:
            place = ("rules", number, "webhook") if rule.webhook else ("webhook",)
            try:
                urls[rule.name] = checked_url(
                    own, allow_http=found.allow_http, name="webhook", allow="allow_http: true"
                )
            except UserError as error:
                raise _wrong(path, lines[place], str(error)) from None
    return Rules(tuple(found.rules), urls)


def _line(lines: dict[tuple[str | int, ...], int], place: tuple[str | int, ...]) -> int:
    """The line of what is at a place, or around it."""
    return next(lines[place[:length]] for length in range(len(place), -1, -1) if place[:length] in lines)


def _message(error: Any) -> str:
    # Of `rules.3.shift.level` what stands in the rule; its place is said by the line.
    place = error["loc"][2:] if error["loc"][:1] == ("rules",) and len(error["loc"]) > 1 else error["loc"]
    names = [str(part) for part in place if isinstance(part, str)]
    text = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"{names[-1]} is nothing that a rule has" if len(error["loc"]) > 1 else f"{names[-1]}: not known here"
    if error["type"] == "missing":
        return f"{names[-1] if names else 'rules'} is missing"
    return one_line(f"{'.'.join(names)}: {text[:1].lower()}{text[1:]}" if names else text)


def _wrong(path: Path, line: int, what: str) -> UserError:
    return UserError(f"--rules {path}, line {line}: {what}")
