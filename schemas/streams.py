"""Names of streams: what a file's calls and channels are called where nobody says otherwise.

Producer and `analyze` name them here, so that the same file has the same names with and without Kafka.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from pydantic import TypeAdapter

from schemas.audio import CallId, Role
from schemas.errors import UserError

# Leaves room for "-0001" of --calls and for "-12" of equal names below the 128 characters of a call id.
_MAX_STEM = 110
_CALL_ID = TypeAdapter(CallId)


@dataclass(frozen=True, slots=True)
class Voice:
    """One channel of a recording: its name in the stream's key, and who speaks on it."""

    channel: str
    role: Role


def voices(text: str | None, channels: int) -> tuple[Voice, ...]:
    """The channels of a recording, left to right, from `--channels`.

    Without `text` a mono recording is the customer's, a stereo one has the agent left and the customer right.
    A role that comes twice is told apart by a number: `customer`, `customer-2`.

    Raises:
        UserError: an unknown role, or another number of roles than the recording has channels.
    """
    if text is None:
        if channels > 2:
            raise UserError(f"{channels} channels: say who speaks on each, as in --channels agent,customer,customer")
        text = "customer" if channels == 1 else "agent,customer"
    names = [name.strip().lower() for name in text.split(",")]
    for name in names:
        if name not in set(Role):
            raise UserError(f"--channels {text}: {name!r} is no role; take customer or agent for each channel")
    if len(names) != channels:
        raise UserError(f"--channels {text} names {_count(len(names))}, but the audio has {_count(channels)}")
    return tuple(
        Voice(name if names[:i].count(name) == 0 else f"{name}-{names[:i].count(name) + 1}", Role(name))
        for i, name in enumerate(names)
    )


def describe(voices: Iterable[Voice]) -> str:
    """One line on which channel is whose: "left = agent, right = customer"."""
    who = list(voices)
    if len(who) == 1:
        return who[0].channel
    sides = ("left", "right") if len(who) == 2 else tuple(f"channel {i}" for i in range(1, len(who) + 1))
    return ", ".join(f"{side} = {voice.channel}" for side, voice in zip(sides, who, strict=True))


def call_ids(names: Iterable[str], call_id: str | None = None) -> list[str]:
    """A call id for each file: its stem, made valid; equal ones get -2, -3.

    With an explicit `call_id` a single file has exactly this id, several have `call_id-stem` each.

    Raises:
        UserError: `call_id` holds characters that a call id cannot have, or is too long.
    """
    stems = [PurePath(name).stem for name in names]
    if call_id is not None:
        _check(call_id)
        stems = [call_id] if len(stems) == 1 else [f"{call_id}-{stem}" for stem in stems]
        if len(stems) == 1:
            return stems
    taken: set[str] = set()
    ids = []
    for stem in stems:
        valid = valid_name(stem)
        unique, n = valid, 1
        while unique in taken:
            n += 1
            unique = f"{valid}-{n}"
        taken.add(unique)
        ids.append(unique)
    return ids


def copies(call_id: str, calls: int) -> list[str]:
    """Ids of `calls` concurrent copies of a call: the id itself for one, else ID-0001 and so on."""
    return [call_id] if calls == 1 else [f"{call_id}-{i:04d}" for i in range(1, calls + 1)]


def valid_name(text: str, limit: int = _MAX_STEM, other: str = "call") -> str:
    """The nearest call id or channel to a stranger's: accents dropped, other characters become dashes.

    `other` stands where nothing is left of it.
    """
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._:@+-]+", "-", ascii_text).lstrip("._:@+-")[:limit] or other


def _check(call_id: str) -> None:
    try:
        _CALL_ID.validate_python(call_id)
        if len(call_id) > _MAX_STEM:
            raise ValueError
    except ValueError:  # pydantic's ValidationError is one
        raise UserError(
            f"--call-id {call_id[:140]!r}: want 1 to {_MAX_STEM} letters, digits or ._:@+-, first a letter or digit"
        ) from None


def _count(channels: int) -> str:
    return f"{channels} channel" if channels == 1 else f"{channels} channels"
