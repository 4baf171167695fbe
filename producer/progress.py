"""How the sending goes, for a person: a bar per file on a terminal, plain lines elsewhere."""

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from producer.playback import Playback
from schemas.streams import describe

# A log that nobody watches needs a sign of life, not a bar.
_LINE_EVERY_S = 10.0


def summary(playback: Playback) -> str:
    """One line on what a recording becomes: its calls, rate, and which side is whose."""
    ids = playback.call_ids
    calls = ids[0] if len(ids) == 1 else f"{ids[0]} to {ids[-1]}"
    recording = playback.recording
    length = "" if recording.seconds is None else f", {recording.seconds:.1f} s"
    return f"{recording.name} -> {calls}: {describe(playback.voices)}, {recording.rate} Hz{length}"


class Lines:
    """Plain lines: one when a recording begins, one when it ends, one every ten seconds between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[Playback, float] = {}

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def opened(self, playback: Playback) -> None:
        """Say what begins."""
        self._said[playback] = time.monotonic()
        self._print(summary(playback))

    def moved(self, playback: Playback) -> None:
        """Say how far it is, every ten seconds."""
        if time.monotonic() - self._said[playback] >= _LINE_EVERY_S:
            self._said[playback] = time.monotonic()
            total = playback.recording.seconds
            of = "" if total is None else f" of {total:.1f}"
            self._print(f"{playback.recording.name}: {_sent(playback):.1f}{of} s sent")

    def closed(self, playback: Playback, problem: str = "") -> None:
        """Say how it ended."""
        del self._said[playback]
        if problem:
            self._print(f"{playback.recording.name}: ended after {_sent(playback):.1f} s: {problem}", "red")
        else:
            self._print(f"{playback.recording.name}: all {_sent(playback):.1f} s sent", "green")

    def skipped(self, name: str, problem: str) -> None:
        """Say what was left out, and why."""
        self._print(_skipped(name, problem), "red")

    def warned(self, text: str) -> None:
        """Say what a person should know."""
        self._print(text, "yellow")

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


class Bars:
    """A bar for each recording that is being sent; ended ones become a line above the bars."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[Playback, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:6.1f} s"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def opened(self, playback: Playback) -> None:
        """Add a bar, and say which side is whose."""
        self._print(summary(playback))
        name = escape(playback.call_ids[0]) + (f" x {len(playback.call_ids)}" if len(playback.call_ids) > 1 else "")
        self._tasks[playback] = self._progress.add_task(name, total=playback.recording.seconds)

    def moved(self, playback: Playback) -> None:
        """Move its bar."""
        self._progress.update(self._tasks[playback], completed=_sent(playback))

    def closed(self, playback: Playback, problem: str = "") -> None:
        """Take its bar away."""
        self._progress.remove_task(self._tasks.pop(playback))
        if problem:
            self._print(f"✗ {playback.recording.name}: ended after {_sent(playback):.1f} s: {problem}", "red")
        else:
            self._print(f"✓ {playback.recording.name}: {_sent(playback):.1f} s sent", "green")

    def skipped(self, name: str, problem: str) -> None:
        """Say what was left out, and why."""
        self._print("✗ " + _skipped(name, problem), "red")

    def warned(self, text: str) -> None:
        """Say what a person should know."""
        self._print(text, "yellow")

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def reporter(console: Console) -> Bars | Lines:
    """Bars where `console` is a terminal, else lines."""
    return Bars(console) if console.is_terminal else Lines(console)


def _sent(playback: Playback) -> float:
    return playback.sent_samples / playback.recording.rate


def _skipped(name: str, problem: str) -> str:
    # The decoder's line names the file already; others do not.
    return f"left out: {problem}" if problem.startswith(name) else f"left out: {name}: {problem}"
