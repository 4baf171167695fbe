"""What a running service tells about itself over HTTP: `/metrics`, `/healthz` and `/readyz`.

One small server for worker, producer and trainer. It listens on 127.0.0.1 unless told otherwise, answers GET, and
runs in a daemon thread, so that it never holds a service open. A service may also be asked to do something by POST;
only programs of its own machine may, and no page of a browser, which would name an origin.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from socketserver import ThreadingMixIn
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, disable_created_metrics, make_wsgi_app

from schemas.errors import UserError

# A second series for every counter, which says when the process began to count: nobody asks for it.
disable_created_metrics()

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Environment = dict[str, Any]


@dataclass
class Health:
    """A service's own account: when its loop last went round, and whether it is ready for work.

    `limit_s` must exceed the slowest pass of the loop that is still healthy: it ends when Kafka has its transaction.
    """

    limit_s: float = 90.0
    ready: bool = False
    waits_for: str = ""
    """What a service that is not ready waits for, in words; `/readyz` says so."""
    _last: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        """The loop has gone round once."""
        self._last = time.monotonic()

    @property
    def still_s(self) -> float:
        """For how many seconds the loop has not gone round."""
        return time.monotonic() - self._last

    @property
    def alive(self) -> bool:
        """Whether the loop has gone round within `limit_s`."""
        return self.still_s < self.limit_s


class Telemetry:
    """The server. `port` 0 takes a free port; the attribute `port` holds the one in use.

    Args:
        posts: what may be asked for, by path; each says in a line what follows.

    Raises:
        UserError: the port is taken, or the address is not one of this machine's.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        health: Health,
        posts: Mapping[str, Callable[[], str]] | None = None,
    ) -> None:
        self._metrics = make_wsgi_app(registry)
        self._health = health
        self._posts = posts or {}
        try:
            self._server = make_server(host, port, self._answer, _Server, _QuietHandler)
        except (OSError, OverflowError) as error:
            raise UserError(
                f"metrics: cannot listen on {host}:{port} ({error}); choose another --metrics-port, 0 for a free one"
            ) from None
        self.host = host
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="telemetry", daemon=True).start()

    def _answer(self, environment: Environment, start: StartResponse) -> Iterable[bytes]:
        path = environment.get("PATH_INFO", "/")
        if path in self._posts:
            return self._post(self._posts[path], environment, start)
        if path == "/metrics":
            return self._metrics(environment, start)
        if path == "/healthz":
            return _line(start, self._health.alive, "alive", "the loop stands still")
        if path == "/readyz":
            why = f"not ready: {self._health.waits_for}" if self._health.waits_for else "not ready"
            return _line(start, self._health.ready and self._health.alive, "ready", why)
        return _line(start, False, "", "try /metrics, /healthz or /readyz", failure="404 Not Found")

    def _post(self, act: Callable[[], str], environment: Environment, start: StartResponse) -> Iterable[bytes]:
        if environment["REQUEST_METHOD"] != "POST":
            return _line(start, False, "", "want POST", failure="405 Method Not Allowed")
        if "HTTP_ORIGIN" in environment or not ip_address(environment["REMOTE_ADDR"]).is_loopback:
            return _line(start, False, "", "only for programs of this machine", failure="403 Forbidden")
        return _line(start, True, act(), "")

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingMixIn, WSGIServer):
    # A scraper that hangs must not keep the next one waiting, nor the process from ending.
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    # A client that connects and says nothing would hold its thread for ever.
    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:
        """Drop the line: a probe every few seconds would drown the service's own log."""


def _line(
    start: StartResponse, good: bool, yes: str, no: str, failure: str = "503 Service Unavailable"
) -> Iterable[bytes]:
    start("200 OK" if good else failure, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{yes if good else no}\n".encode()]
