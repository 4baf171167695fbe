"""What a rule may ask for."""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from schemas.audio import Role
from schemas.labels import Emotion

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|m|min|h)", re.ASCII)
# What is remembered of a call: no window is longer.
MOST_S = 900.0
_WITHIN_S = 30.0
_LEAST_SPEECH = 0.5


def _seconds(value: object) -> object:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a duration looks like 10 s, 1.5 s or 2 m")
    return float(match[1]) * _UNITS[match[2]]


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


Duration = Annotated[float, BeforeValidator(_seconds)]
Window = Annotated[Duration, Field(gt=0, le=MOST_S)]
Name = Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,63}$")]


class Shift(BaseModel):
    """How far from the caller's own normal, in their standard deviations: 2 or more above it, or -2 or more below."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: float | None = None
    pitch: float | None = None
    arousal: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any(value for _, value in self):
            raise ValueError("a shift names level, pitch or arousal, and how far: 2, or -2 for below")
        return self

    @property
    def asked(self) -> dict[str, float]:
        """What it asks for."""
        return {name: value for name, value in self if value}


class Rule(BaseModel):
    """One rule: how somebody speaks (`emotion` or `group`, `shift`), `silence`, or `overlap`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    emotion: Annotated[tuple[Emotion, ...], BeforeValidator(_several)] = ()
    group: Literal["negative", "neutral", "positive"] | None = None
    probability: float | None = Field(None, gt=0, le=1)
    shift: Shift | None = None
    lasts: Annotated[Duration, Field(ge=0, le=MOST_S)] = Field(0.0, alias="for")
    silence: Window | None = None
    overlap: Window | None = None
    within: Window | None = None
    role: Role | None = None
    calls: str = Field("", max_length=128)
    again: Annotated[Duration, Field(ge=0, le=86_400)] = 60.0
    webhook: str | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        kinds = [bool(self.speech), self.silence is not None, self.overlap is not None]
        if sum(kinds) != 1:
            raise ValueError("a rule asks for one of emotion, group or shift; or for silence; or for overlap")
        if self.emotion and self.group:
            raise ValueError("a rule asks for an emotion or for a group, not for both")
        if self.probability is not None and not (self.emotion or self.group):
            raise ValueError("probability needs an emotion or a group")
        if not self.speech and (self.role or "lasts" in self.model_fields_set):
            raise ValueError("for and role belong to emotion, group and shift")
        if self.silence is not None and self.within is not None:
            raise ValueError("within does not belong to silence")
        if (self.overlap or self.lasts) > self.window:
            raise ValueError("within is shorter than what has to come together in it")
        return self

    @property
    def speech(self) -> bool:
        """Whether it is about how one person speaks."""
        return bool(self.emotion or self.group or self.shift)

    @property
    def least(self) -> float:
        """From which probability on."""
        return _LEAST_SPEECH if self.probability is None else self.probability

    @property
    def window(self) -> float:
        """Within which time it has to come together, seconds."""
        return self.within or max(_WITHIN_S, self.lasts, self.overlap or 0.0)

    @property
    def memory(self) -> float:
        """How much of a call it has to know, seconds."""
        return self.silence or self.window

    @property
    def words(self) -> str:
        """What it asks for, for people."""
        queue = f", calls that begin with {self.calls}" if self.calls else ""
        if self.silence is not None:
            return f"nobody speaks for {self.silence:g} s{queue}"
        if self.overlap is not None:
            return f"both talk for {self.overlap:g} s of {self.window:g} s{queue}"
        what = " or ".join(self.emotion) or self.group or ""
        parts = [f"{what} with {100 * self.least:.0f} % or more"] if what else []
        if self.shift:
            parts += [f"{name} {value:+g} from their normal" for name, value in self.shift.asked.items()]
        lasts = f", for {self.lasts:g} s of {self.window:g} s" if self.lasts else ""
        return f"{self.role or 'anybody'}: {' and '.join(parts)}{lasts}{queue}"
