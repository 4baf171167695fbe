"""How a service's log is written, by UNDERTONE_LOG_FORMAT."""

from typing import Literal

from undertone.messaging.settings import Settings
from undertone.observability.logs import set_up_log


class LogSettings(Settings):
    """What an operator may choose."""

    log_format: Literal["text", "json"] = "text"


def start_log() -> None:
    """Log to standard error, as the settings say.

    Raises:
        UserError: they ask for another format.
    """
    set_up_log(as_json=LogSettings.load().log_format == "json")
