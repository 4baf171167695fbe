"""A real browser's microphone: getUserMedia, an AudioWorklet and a WebSocket, with a file in the microphone's place."""

import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import numpy as np
import pytest
import soundfile

from tests.gateway.conftest import StartGateway
from tests.support.gateway import chunks_of_calls, ended, heard
from tests.support.installation import Installation, wait_for

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAGE = Path(__file__).with_name("microphone.html").read_bytes()
TONE_HZ = 440
SECONDS = 3


class Pages(http.server.ThreadingHTTPServer):
    """Serves the page, and hears how it went."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.told: list[str] = []
        self.origin = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Pages)
        asked = urlsplit(self.path)
        if asked.path == "/told":
            self.server.told.append(unquote(asked.query))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE if asked.path == "/" else b"")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def pages() -> Iterator[Pages]:
    with Pages() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium here: apt-get install chromium")
def test_what_a_browser_hears_is_on_kafka(
    installation: Installation, start_gateway: StartGateway, pages: Pages, tmp_path: Path
) -> None:
    moments = np.arange(48_000) / 48_000
    soundfile.write(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * TONE_HZ * moments), 48_000, subtype="PCM_16")
    gateway = start_gateway("--websocket", "127.0.0.1:0", tokens="sesame", allowed_origins=pages.origin, resume_s=600)
    host, port = gateway.address("websocket")
    browser = subprocess.Popen(
        [
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile",
            "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={tmp_path}/tone.wav", "--autoplay-policy=no-user-gesture-required",
            f"{pages.origin}/?url={quote(f'ws://{host}:{port}/microphone')}&seconds={SECONDS}",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: bool(pages.told), "the page's word", said=lambda: gateway.output)
    finally:
        browser.terminate()
        browser.wait()
    assert pages.told == ["closed 1000 "]
    chunks = chunks_of_calls(installation, ended("browser/customer"))["browser/customer"]
    assert {chunk.sample_rate for chunk in chunks} == {16_000}
    sound = heard(chunks)
    # A browser on a busy machine may leave out some of it.
    assert 8_000 < len(sound) < 60 * 16_000
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert spectrum.argmax() * 16_000 / len(sound) == pytest.approx(TONE_HZ, abs=10)
    assert sound.std() > 1_000
