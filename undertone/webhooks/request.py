"""One request to a webhook: where it may go, and how it ended."""

import asyncio
import ipaddress
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from schemas.errors import UserError, one_line
from undertone.messaging.dead_letters import service_version

LONGEST_RETRY_AFTER_S = 300.0
# Nobody needs the answer; so much of it is read that the connection can be used again.
_ANSWER_BYTES = 16 * 1024
_CONNECT_S = 5.0

# It tells each request with its address, which may hold what nobody else is to know.
logging.getLogger("httpx").setLevel(logging.WARNING)


class Refused(Exception):
    """The webhook has answered, and not with yes; or it has taken the connection and not answered."""

    def __init__(self, outcome: str, what: str, retry_after_s: float = 0.0) -> None:
        super().__init__(what)
        self.outcome = outcome
        self.retry_after_s = retry_after_s


class Unreachable(Exception):
    """Nobody takes the connection: it says nothing about what was to be sent."""


class Requests:
    """One client for all requests. Lives in one event loop."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s)),
            follow_redirects=False,  # the signature is for this address
            headers={"user-agent": f"undertone/{service_version()}"},
        )

    async def post(self, url: httpx.URL, body: bytes, headers: Mapping[str, str]) -> int:
        """Post once; the status of an answer that says yes.

        Raises:
            Refused: it says no, or nothing in time.
            Unreachable: there is nobody.
        """
        try:
            # The client's own limits are for each read: one that sends a byte a second keeps them.
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream("POST", url, content=body, headers=dict(headers)) as answer,
            ):
                if not answer.is_success:
                    what = f"status {answer.status_code}"
                    raise Refused(f"{answer.status_code // 100}xx", what, retry_after_s(answer.headers))
                size = 0
                async for piece in answer.aiter_raw():
                    size += len(piece)
                    if size > _ANSWER_BYTES:
                        break
                return answer.status_code
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unreachable(f"{url.host}: {one_line(error) or type(error).__name__}") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise Refused("timeout", f"no answer within {self._timeout_s:g} s") from error
        except httpx.HTTPError as error:
            raise Refused("broken", one_line(error) or type(error).__name__) from error

    async def close(self) -> None:
        """End the connections."""
        await self._client.aclose()


def checked_url(text: str, *, allow_http: bool, name: str, allow: str) -> httpx.URL:
    """An address that webhooks may have. `name` is what people set it with, `allow` what lets it be http.

    Raises:
        UserError: it is none.
    """
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise UserError(f"{name}: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise UserError(f"{name}: it looks like https://example.com/undertone")
    if url.scheme == "http" and not allow_http and not _is_loopback(url.host):
        raise UserError(
            f"{name}: http to {url.host} would show emotions of callers to everybody on the way; take https, or {allow}"
        )
    return url


def retry_after_s(headers: Mapping[str, str]) -> float:
    """How long a webhook asks to be left alone: seconds or a date, five minutes at most; 0 where it does not."""
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text) if text.isascii() and text.isdigit() else _until(parsedate_to_datetime(text))
    except (ValueError, OverflowError):
        return 0.0
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER_S)


def _until(moment: datetime) -> float:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - datetime.now(UTC)).total_seconds()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
