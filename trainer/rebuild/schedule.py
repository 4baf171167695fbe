"""When a rebuild is due: pure, so that days can be tested in milliseconds."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.errors import UserError
from trainer.rebuild.runs import Decision, What

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
# A crash may be want of memory, which passes; one of the program does not, and is not to heat the machine.
_AGAIN = timedelta(minutes=5)
# Drift does not end with a model: the labels of a working day are worth another.
_DRIFTED = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Schedule:
    """`every` so often, where there are new labels; or when `after_labels` of them have come."""

    every: timedelta
    after_labels: int

    def due(self, now: datetime, began: datetime, last: Decision | None, new_labels: int, drifted: str = "") -> str:
        """Why a rebuild is due, in words; empty where none is.

        Args:
            began: when a trainer first came to this folder, which counts as a run where there was none.
            new_labels: collected since the last run.
            drifted: what of the calls is no longer as in the model's data, in words.
        """
        if last and last.what in (What.CRASHED, What.OUTDATED):
            return f"the last run was {last.what}" if now - last.started >= _AGAIN else ""
        if new_labels >= self.after_labels:
            return f"{new_labels} labels have come"
        since = last.started if last else began
        if drifted and new_labels > 0 and (not last or now - since >= _DRIFTED):
            return f"calls have drifted ({drifted}), and {new_labels} labels have come"
        if new_labels > 0 and now - since >= self.every:
            return f"{new_labels} labels have come, and the last run is {_told(now - since)} ago"
        return ""


def parse_every(text: str) -> timedelta:
    """`24h`, `30m`, `7d`, `90s`.

    Raises:
        UserError: it is none of these, or less than a minute.
    """
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    every = timedelta(seconds=int(match[1]) * _UNITS[match[2]]) if match else timedelta()
    if every < timedelta(minutes=1):
        raise UserError(f"--every {text}: want a number and s, m, h or d, as in 24h; at least a minute")
    return every


def _told(since: timedelta) -> str:
    hours = since.total_seconds() / 3600
    return f"{hours:.0f} h" if hours >= 1 else f"{hours * 60:.0f} min"
