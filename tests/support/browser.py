"""A real headless Chromium, driven by its DevTools protocol."""

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.support.installation import PATIENCE_S, wait_for
from tests.support.service import get

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# The rules alone: what the package has beside them drives other browsers.
AXE = Path(str(find_spec("axe_core_python").submodule_search_locations[0])) / "axe.min.js"  # type: ignore[index, union-attr]


class NavigatedError(Exception):
    """The tab left for another page while it worked out what was asked of this one."""


class Page:
    """One tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self.problems: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=PATIENCE_S))
            if message.get("id") == number:
                if message.get("error", {}).get("message") == "Inspected target navigated or closed":
                    raise NavigatedError(message)
                assert "error" not in message, message
                return dict(message["result"])
            self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        """Keep what a page complains about: exceptions, and what the policy of its content forbids."""
        if message.get("method") == "Runtime.exceptionThrown":
            details = message["params"]["exceptionDetails"]
            self.problems.append(str(details.get("exception", details).get("description", details)))
        if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["source"] in (
            "security",
            "javascript",
        ):
            self.problems.append(str(message["params"]["entry"]["text"]))

    def open(self, url: str) -> None:
        """Go there, and wait until it is loaded."""
        self.command("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """The value of an expression, awaited where it is a promise."""
        answer = self.command("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = PATIENCE_S) -> None:
        """Wait until an expression is true, on whichever page the tab is by then."""

        def true() -> bool:
            try:
                return bool(self.run(script))
            except NavigatedError:
                return False

        wait_for(true, script, seconds, said=lambda: str(self.run("document.body.innerText")))

    def key(self, key: str) -> None:
        """Press a key."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = {"Enter": 13, "ArrowDown": 40, "ArrowUp": 38, "Tab": 9, "Escape": 27}.get(key, 0)
        self.command("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, windowsVirtualKeyCode=code)
        self.command("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def mouse(self, what: str, x: float, y: float) -> None:
        """Press, move or release the left button somewhere: `mousePressed`, `mouseMoved`, `mouseReleased`."""
        self.command("Input.dispatchMouseEvent", type=what, x=x, y=y, button="left", buttons=1, clickCount=1)

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """How large the window is, and whether its user likes it dark."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])

    def barriers(self) -> list[str]:
        """What keeps people out who cannot see or point, as axe-core finds it."""
        self.run(f"{AXE.read_text()}; 0")
        found = self.run("axe.run().then(({ violations, passes }) => ({ violations, looked: passes.length }))")
        assert found["looked"]
        return [
            f"{rule['id']}: {node['html']} {node['failureSummary']}"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]

    def picture(self, path: Path) -> None:
        """What is seen, as PNG."""
        path.write_bytes(base64.b64decode(self.command("Page.captureScreenshot")["data"]))


@contextlib.contextmanager
def browsing(profile: Path, microphone: Path | None = None) -> Iterator[Page]:
    """A browser of the test's own with one tab; a WAV file in the microphone's place, over and over."""
    heard = [
        "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
    ] if microphone else []  # fmt: skip
    process = subprocess.Popen(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--mute-audio",
            "--remote-debugging-port=0", f"--user-data-dir={profile}", *heard, "about:blank",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        told = profile / "DevToolsActivePort"
        wait_for(lambda: told.exists() and "\n" in told.read_text(), "the browser's port")
        port = told.read_text().splitlines()[0]
        with connect(_tab(port), max_size=None, open_timeout=PATIENCE_S) as connection:
            yield Page(connection)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _tab(port: str) -> str:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        pages = [one for one in json.loads(get(f"http://127.0.0.1:{port}/json")[1]) if one["type"] == "page"]
        if pages:
            return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise AssertionError("the browser has no tab")
