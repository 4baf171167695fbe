"""A watched folder: recorders drop files into it, each is sent as a call, faster than it is spoken, and moved away.

A file is complete once nothing has changed it for `settle_s`; one that was renamed into the folder after that time is
complete at once. It goes to `sent/` when Kafka has all of it, to `bad/` where it cannot be read to its end or Kafka did
not take all of it. What stops halfway (SIGTERM, kill -9) stays where it is, and is sent anew, as a new stream.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from schemas.audio import Encoding
from schemas.errors import UserError, one_line
from schemas.streams import Voice, voices
from undertone.acoustics.decode import SUFFIXES
from undertone.acoustics.sources import Recording, open_file
from undertone.gateway.calls import Calls
from undertone.gateway.refusals import Refusal, Refused
from undertone.gateway.settings import GatewaySettings
from undertone.gateway.streams import LiveStream
from undertone.gateway.wire import Started

NAME = "watch"
# Two looks at least before a file is taken: what is written to it in between shows.
_LOOK_S = 0.5
# Reasons that pass by themselves: the file stays where it is.
_PASSING = frozenset({Refusal.KAFKA_AWAY, Refusal.DRAINING, Refusal.TOO_MANY_CALLS, Refusal.ALREADY_OPEN})
_log = logging.getLogger(__name__)


class Settling:
    """Which files of a folder are complete, look by look."""

    def __init__(self, directory: Path, settle_s: float) -> None:
        self._directory = directory
        self._settle_s = settle_s
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}

    def look(self) -> list[Path]:
        """The complete ones, oldest first."""
        now, seen, complete = time.monotonic(), {}, []
        for entry in os.scandir(self._directory):
            if entry.name.startswith(".") or Path(entry.name).suffix.lower() not in SUFFIXES or not entry.is_file():
                continue
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat()
                state = status.st_size, status.st_mtime_ns
                before, since = self._seen.get(entry.name, (None, now))
                seen[entry.name] = state, since if before == state else now
                quiet_s = max(now - seen[entry.name][1], time.time() - status.st_mtime)
                if before == state and quiet_s >= self._settle_s:
                    complete.append((status.st_mtime_ns, entry.name))
        self._seen = seen
        return [self._directory / name for _, name in sorted(complete)]


class FolderWire:
    """The folder, and who sends what lies in it, one file after the other."""

    name = NAME

    def __init__(self, directory: Path, settings: GatewaySettings) -> None:
        self._directory = directory
        self._settling = Settling(directory, settings.settle_s)
        try:
            for folder in (directory / "sent", directory / "bad"):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"--watch {directory}: {error.strerror}: files are moved within this folder") from error

    async def run(self, calls: Calls, started: Started) -> None:
        """Watch until cancelled."""
        started(NAME, str(self._directory))
        while True:
            try:
                for path in await asyncio.to_thread(self._settling.look):
                    if not calls.draining:
                        await self._take(path, calls)
            except OSError as error:
                raise UserError(f"--watch {self._directory}: {error}") from error
            await asyncio.sleep(_LOOK_S)

    async def _take(self, path: Path, calls: Calls) -> None:
        try:
            await _send(path, calls)
        except UserError as error:
            _log.error("%s: %s", NAME, one_line(error))
        except Refused as refused:
            calls.refused(NAME, refused, path.name)
            if refused.reason in _PASSING:
                return
        else:
            self._move(path, "sent")
            return
        self._move(path, "bad")

    def _move(self, path: Path, folder: str) -> None:
        target, n = self._directory / folder / path.name, 1
        while target.exists():
            n += 1
            target = self._directory / folder / f"{path.stem}-{n}{path.suffix}"
        path.rename(target)


async def _send(path: Path, calls: Calls) -> None:
    """Send one file as a call; returns when Kafka has all of it.

    Raises:
        UserError: it cannot be read to its end, or Kafka did not take all of it.
        Refused: it may not be sent, or not now.
    """
    name = await calls.names.lookup(path.stem)
    if name is None:
        raise Refused(Refusal.UNKNOWN_CALL, f"{path.stem} is not in --calls")
    recording = await asyncio.to_thread(open_file, str(path), None)
    mono = recording.channels == 1
    speakers = (Voice(name.channel, name.role),) if mono else voices(None, recording.channels)
    await calls.room()
    streams = [
        calls.open(NAME, name.call_id, voice.channel, voice.role, recording.rate, Encoding.L16, live=False)
        for voice in speakers
    ]
    accounts = [calls.account_of(stream) for stream in streams]
    try:
        await _feed(recording, streams, calls)
    finally:
        for stream in streams:
            stream.end()
    while any(account.pending for account in accounts):
        await asyncio.sleep(_LOOK_S)
    if lost := sum(account.lost_samples for account in accounts):
        raise UserError(f"{path}: Kafka did not take {lost / recording.rate:.1f} s of it")


async def _feed(recording: Recording, streams: Sequence[LiveStream], calls: Calls) -> None:
    try:
        while (block := await asyncio.to_thread(next, recording.blocks, None)) is not None:
            await calls.room()
            for side, stream in enumerate(streams):
                stream.feed(np.ascontiguousarray(block[:, side]))
    finally:
        # Cancelled while the thread still decodes: it holds the file, and lets go of it with its block.
        with contextlib.suppress(ValueError):
            recording.close()
