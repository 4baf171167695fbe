"""A watched folder on a real Kafka: recordings that are complete are sent whole, and moved."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import soundfile

from tests.gateway.conftest import StartGateway
from tests.support.gateway import GatewayProcess, chunks_of_calls, ended, heard
from tests.support.installation import Installation, wait_for
from tests.support.paths import SAMPLES
from tests.support.streams import load
from undertone.acoustics.decode import load as load_file
from undertone.gateway.folder import Settling


def ready(gateway: GatewayProcess, folder: Path) -> None:
    wait_for(lambda: f"ready watch {folder}" in gateway.output, "the ready line", said=lambda: gateway.output)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_complete_when_nothing_changes_it(tmp_path: Path) -> None:
    old, new, hidden = tmp_path / "old.wav", tmp_path / "new.wav", tmp_path / ".hidden.wav"
    for path in (old, new, hidden, tmp_path / "notes.txt", tmp_path / "call.wav.part"):
        path.write_bytes(b"1")
    os.utime(old, (time.time() - 3600,) * 2)
    (tmp_path / "folder.wav").mkdir()
    settling = Settling(tmp_path, 1000)
    assert settling.look() == [], "one look tells nothing"
    assert settling.look() == [old]
    new.write_bytes(b"12")
    os.utime(old, (time.time() - 7200,) * 2)
    assert settling.look() == [], "both have changed"
    assert settling.look() == [old]
    at_once = Settling(tmp_path, 0)
    at_once.look()
    assert at_once.look() == [old, new]


def test_recordings_are_sent_and_moved(installation: Installation, start_gateway: StartGateway, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    shutil.copy(SAMPLES / "call.flac", folder)
    (folder / "text.wav").write_text("this is no audio")
    (folder / "cut.wav").write_bytes((SAMPLES / "phone.wav").read_bytes()[:30_001])
    soundfile.write(folder / "wide.wav", np.tile(load("calm.flac")[0], 3), 48_000, subtype="PCM_16")
    wide, _ = load_file(folder / "wide.wav")
    gateway = start_gateway("--watch", str(folder), settle_s=0.1)
    ready(gateway, folder)
    wait_for(lambda: names(folder / "sent") == {"call.flac", "wide.wav"}, "the good ones", said=lambda: gateway.output)
    wait_for(lambda: names(folder / "bad") == {"text.wav", "cut.wav"}, "the bad ones", said=lambda: gateway.output)
    assert gateway.output.count("text.wav: not readable as audio") == 1
    assert gateway.output.count("cut.wav: truncated") == 1
    # They are in Kafka when they are moved, whole, and far faster than they were spoken.
    streams = chunks_of_calls(installation, ended("call/agent", "call/customer", "wide/customer", "cut/customer"))
    for side, channel in enumerate(("agent", "customer")):
        assert np.array_equal(heard(streams[f"call/{channel}"]), load("call.flac", side)[0])
    assert np.array_equal(heard(streams["wide/customer"]), wide[:, 0])
    # One of the same name is another stream, and does not overwrite what lies there.
    shutil.copy(SAMPLES / "call.flac", folder)
    wait_for(lambda: "call-2.flac" in names(folder / "sent"), "the second of its name", said=lambda: gateway.output)
    assert gateway.stop() == 0
    assert names(folder) == {"sent", "bad"}


def test_calls_names_recordings_and_who_is_not_named_is_bad(
    installation: Installation, start_gateway: StartGateway, tmp_path: Path
) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    (tmp_path / "calls.csv").write_text("key,call_id,channel,role\nphone,PBX-1,caller,customer\n")
    shutil.copy(SAMPLES / "phone.wav", folder)
    shutil.copy(SAMPLES / "calm.flac", folder)
    gateway = start_gateway("--watch", str(folder), "--calls", str(tmp_path / "calls.csv"), settle_s=0)
    ready(gateway, folder)
    wait_for(lambda: names(folder / "sent") == {"phone.wav"}, "the named one", said=lambda: gateway.output)
    wait_for(lambda: names(folder / "bad") == {"calm.flac"}, "the other", said=lambda: gateway.output)
    assert np.array_equal(
        heard(chunks_of_calls(installation, ended("PBX-1/caller"))["PBX-1/caller"]), load("phone.wav")[0]
    )


def test_a_folder_that_cannot_be_is_one_line(start_gateway: StartGateway, tmp_path: Path) -> None:
    gateway = start_gateway("--watch", str(tmp_path / "missing"))
    assert gateway.process.wait(60) == 2
    assert "--watch" in gateway.output
    assert gateway.output.count("\n") == 1
