"""Drift as a reason to rebuild: Prometheus is asked whether the alert on it fires, so that there is one rule of it."""

import json
import logging
import time
import urllib.parse
import urllib.request
from collections.abc import Callable

log = logging.getLogger(__name__)

QUERY = 'ALERTS{alertname="CallsDrift",alertstate="firing"}'
_ASK_S, _ANSWER_S = 300.0, 10.0


class DriftWatch:
    """Asks every five minutes. Without a URL nothing has ever drifted."""

    def __init__(self, url: str | None, tell: Callable[[float], None]) -> None:
        """`url` is Prometheus' own; `tell` gets how many figures have drifted, NaN where nobody can say."""
        self._url, self._tell = url, tell
        self._not_before, self._figures = 0.0, ""

    def figures(self) -> str:
        """What has drifted, in words; empty where nothing has, or nobody can say."""
        if self._url and time.monotonic() >= self._not_before:
            self._not_before = time.monotonic() + _ASK_S
            self._figures = self._ask(self._url)
        return self._figures

    def _ask(self, url: str) -> str:
        asked = f"{url.rstrip('/')}/api/v1/query?{urllib.parse.urlencode({'query': QUERY})}"
        try:
            with urllib.request.urlopen(asked, timeout=_ANSWER_S) as answer:  # noqa: S310  the operator's own
                result = json.load(answer)["data"]["result"]
            figures = sorted({str(one["metric"]["figure"]) for one in result})
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s does not say whether calls drift: %s", url, error)
            self._tell(float("nan"))
            return ""
        self._tell(len(figures))
        return ", ".join(figures)
