"""Aliases on `models`: which version is in use, which one is on trial, which one was in use before.

An alias is a small record of its own beside the bundles. Its key holds a `/`, which no version can.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from schemas.errors import UserError, one_line

_PREFIX = "alias/"
# Compaction keeps the newest record of an alias alone, so that it tells of earlier ones itself.
MAX_HISTORY = 50

Version = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class Alias(StrEnum):
    """The roles that a version can have."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"
    PREVIOUS = "previous"

    @property
    def key(self) -> bytes:
        """The key of its record."""
        return f"{_PREFIX}{self}".encode()


class AliasChange(BaseModel):
    """Who let an alias name a version, when and how."""

    model_config = ConfigDict(frozen=True)

    version: Version
    by: str = Field(min_length=1, max_length=128)
    at: AwareDatetime
    how: str = Field(default="", max_length=64, description="What was done: promote, rollback, publish.")
    share: float = Field(
        default=0,
        ge=0,
        le=1,
        exclude_if=lambda share: not share,  # a record without it is written as before
        description="Of a challenger: the share of calls that go to it for real, by a hash of their ids.",
    )


class AliasRecord(AliasChange):
    """The value of an alias's record: what it names now, and what it named before."""

    format: Literal[1] = 1
    alias: Alias
    history: tuple[AliasChange, ...] = Field(
        default=(), max_length=MAX_HISTORY, description="What it named before, newest first."
    )

    @classmethod
    def parse(cls, key: bytes, value: bytes) -> Self:
        """The record's value.

        Raises:
            UserError: it is none, or another alias's.
        """
        try:
            record = cls.model_validate_json(value)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "value"
            raise UserError(
                f"{one_line(key.decode(errors='replace'))}: {one_line(field)}: {one_line(first['msg'])}"
            ) from None
        if record.alias.key != key:
            raise UserError(f"{one_line(key.decode(errors='replace'))}: the value is of alias {record.alias}")
        return record

    def followed_by(self, change: AliasChange) -> "AliasRecord":
        """The record that comes after this one."""
        past = AliasChange(version=self.version, by=self.by, at=self.at, how=self.how, share=self.share)
        history = (past, *self.history)[:MAX_HISTORY]
        return AliasRecord(**change.model_dump(), alias=self.alias, history=history)


def names_an_alias(key: bytes) -> bool:
    """Whether a record of `models` is an alias, be it one that this version does not know."""
    return key.startswith(_PREFIX.encode())
