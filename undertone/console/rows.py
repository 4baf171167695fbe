"""One event as one row of a table that grows: `undertone tail`, and the demo where there is no terminal."""

from rich.text import Text

from schemas.events import Segment, Summary, Update
from undertone.analysis.colours import colour_of

Event = Update | Segment | Summary

_BAR = 10
# Room for two stretches of "00:00:00.0"; longer stream names push the rest of their row to the right.
_STREAM = 28


def stream_time(sample: int, rate: int) -> str:
    """A place in a stream as minutes, seconds and tenths, with hours where there are any."""
    minutes, tenths = divmod(sample * 10 // rate, 600)  # rounded down, or 59.96 s would read 60.0
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes:02d}:{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{text}" if hours else text


def heading() -> Text:
    """The names of the columns."""
    columns = f"{'from':>8} {'to':>8}  {'stream':{_STREAM}} {'type':8} {'label':12} {'probability':15} {'level':>9}"
    return Text(f"{columns} {'pitch':>7}  {'group':9} {'arousal':>7}", style="bold")


def row(event: Event) -> Text:
    """One event. Updates are dimmed: the segment that follows tells it better."""
    start, end = stream_time(event.start_sample, event.sample_rate), stream_time(event.end_sample, event.sample_rate)
    text = Text(f"{start:>8} {end:>8}  {event.call_id + '/' + event.channel:{_STREAM}} {event.type:8} ")
    colour = colour_of(event.label, tuple(event.probabilities))
    text.append(f"{event.label:12} ", style=f"bold {colour}")
    text.append_text(probability_bar(event, colour))
    text.append(f" {'' if event.level_dbfs is None else f'{event.level_dbfs:.0f} dBFS':>9}")
    text.append(f" {'' if event.pitch_hz is None else f'{event.pitch_hz:.0f} Hz':>7}")
    text.append(f"  {event.group or '':9} {arousal(event):>7}")
    if isinstance(event, Update):
        text.stylize("dim")
    return text


def arousal(event: Event) -> str:
    """From -1 (sleepy) to 1 (stirred), with its sign; blank where the event has none."""
    return "" if event.arousal is None else f"{event.arousal:+.2f}"


def probability_bar(event: Event, colour: str) -> Text:
    """The highest probability as a number and a bar; blank where nobody spoke."""
    if not event.probabilities:
        return Text(" " * (_BAR + 5))
    top = max(event.probabilities.values())
    full, half = divmod(round(top * _BAR * 2), 2)
    bar = "━" * full + "╸" * half
    return Text.assemble(f"{top:.2f} ", (f"{bar:{_BAR}}", colour))
