"""The page "Try it" in a real headless Chromium: a microphone, or a file, through Kafka and a worker to an emotion."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from tests.console.web.conftest import StartConsole
from tests.support.browser import CHROMIUM, Page, browsing
from tests.support.gateway import chunks_of_calls, ended, heard
from tests.support.installation import Installation
from tests.support.paths import SAMPLES
from tests.support.streams import load

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]
LABEL = "document.getElementById('label').textContent"
STATE = "document.getElementById('state').textContent"
CALL_ID = "document.getElementById('whole').pathname.split('/').pop()"
FORGOTTEN = "document.getElementById('forgotten').textContent"
PICTURES = (("light", 1280, False), ("dark", 1280, True), ("narrow", 390, False))


def microphone(path: Path) -> Path:
    """The customer of the sample call as a browser's microphone has it."""
    samples, rate = load("call.flac", 1)
    soundfile.write(path, soxr.resample(samples, rate, 48_000), 48_000, subtype="PCM_16")
    return path


def an_emotion_comes(page: Page) -> None:
    """Its name, how probable it is, and how long it took; and it is drawn."""
    page.wait(f"/^[a-z]+ .*\\d+ %$/.test({LABEL})")
    page.wait("/^From sound to emotion: \\d+\\.\\d\\d s$/.test(document.getElementById('delay').textContent)")
    assert page.run("document.querySelectorAll('#top meter').length") > 1
    print(page.run(LABEL), page.run("document.getElementById('delay').textContent"))


def test_what_is_said_into_the_microphone_is_an_emotion_on_the_page(
    installation: Installation, start_console: StartConsole, tmp_path: Path
) -> None:
    installation.worker().ready()
    console = start_console(labelled_by="Ann")
    with browsing(tmp_path / "profile", microphone(tmp_path / "microphone.wav")) as page:
        page.size(1280, 900)
        page.open(console.url)
        page.wait("Boolean(document.querySelector('nav a[href=\"/try\"]'))")
        page.run("document.querySelector('nav a[href=\"/try\"]').click()")
        page.wait("location.pathname === '/try' && document.readyState === 'complete'")
        page.wait("!document.getElementById('speak').disabled")
        assert page.barriers() == []
        # The keyboard alone: Space begins.
        page.key(" ")
        page.wait(f"{STATE} === 'listening'")
        an_emotion_comes(page)
        for name, width, dark in PICTURES:
            page.size(width, 900, dark=dark)
            page.run("new Promise((done) => setTimeout(done, 500))")
            assert page.run("document.documentElement.scrollWidth <= innerWidth")
            page.picture(tmp_path / f"{name}.png")
            assert page.barriers() == []
        page.key(" ")
        page.wait(f"{LABEL}.startsWith('All in all ')")
        call_id = page.run(CALL_ID)
        assert re.fullmatch(r"try-[0-9a-f]{32}", call_id)
        stream = f"{call_id}/customer"
        chunks = chunks_of_calls(installation, ended(stream))[stream]
        assert heard(chunks).std() > 100
        # The same call on the page of a call, and then nowhere.
        page.run("document.getElementById('forget').click()")
        page.wait(f"{FORGOTTEN}.startsWith('Forgotten.')")
        page.open(f"{console.url}/calls/{call_id}")
        page.wait("!document.getElementById('empty').hidden")
        assert page.problems == []
    lines = [line.partition("audit: ")[2] for line in console.output.splitlines() if "audit: " in line]
    assert [re.sub(r" \(operate, [\d.]+\)", "", line) for line in lines] == [
        f"'Ann' speaks into {call_id}",
        f"'Ann' has forgotten {call_id}",
    ]


def test_a_recording_is_heard_as_long_as_it_lasts(
    installation: Installation, start_console: StartConsole, tmp_path: Path
) -> None:
    installation.worker().ready()
    url = start_console().url
    with browsing(tmp_path / "profile") as page:
        page.open(f"{url}/try")
        page.wait("!document.getElementById('speak').disabled")
        # A file is chosen by a person's click.
        page.mouse("mousePressed", 5, 5)
        page.mouse("mouseReleased", 5, 5)
        nothing = tmp_path / "nothing.wav"
        nothing.write_bytes(b"no sound")
        choose(page, nothing)
        page.wait("document.getElementById('trouble').textContent.startsWith('nothing.wav is no recording')")
        choose(page, SAMPLES / "angry.flac")
        page.wait(f"{STATE} === 'listening'")
        page.wait(f"{STATE} === 'not listening'")
        page.wait(f"{LABEL}.startsWith('All in all ')")
        stream = f"{page.run(CALL_ID)}/customer"
        chunks = chunks_of_calls(installation, ended(stream))[stream]
        sound, rate = heard(chunks), chunks[0].sample_rate
        whole, own_rate = load("angry.flac")
        assert len(sound) / rate == pytest.approx(len(whole) / own_rate, abs=1.0)
        assert np.abs(sound).max() > 1_000
        # One that is dropped on the page is heard as well, as a call of its own.
        drop(page, nothing)
        page.wait("document.getElementById('trouble').textContent.startsWith('nothing.wav is no recording')")
        drop(page, SAMPLES / "calm.flac")
        page.wait(f"{STATE} === 'listening' && !document.querySelector('#controls.over')")
        page.wait(f"{LABEL}.startsWith('All in all ') && {STATE} === 'not listening'")
        assert page.run(CALL_ID) not in ("", stream.partition("/")[0])
        assert page.problems == []


def drop(page: Page, path: Path) -> None:
    """Drag a file from elsewhere over the page, and let it go; a headless window is 780 by 437."""
    page.wait("!document.getElementById('file').disabled")
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        page.command("Input.dispatchDragEvent", type=kind, x=300, y=200, data=data)
        if kind == "dragOver":
            page.wait("Boolean(document.querySelector('#controls.over'))")


def choose(page: Page, path: Path) -> None:
    """Choose a file, as a person does."""
    page.wait("!document.getElementById('file').disabled")
    document = page.command("DOM.getDocument")["root"]["nodeId"]
    field = page.command("DOM.querySelector", nodeId=document, selector="#file")["nodeId"]
    page.command("DOM.setFileInputFiles", nodeId=field, files=[str(path)])
