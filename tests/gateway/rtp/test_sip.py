"""A SIP call with media: sipp calls, sipp answers as a recording server does, and the media come to the gateway."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from schemas.audio import Encoding
from tests.gateway.conftest import StartGateway
from tests.gateway.rtp.test_wire import named, packets_of, started
from tests.support.gateway import chunks_of_calls, ended, heard
from tests.support.installation import PATIENCE_S, Installation
from tests.support.rtp import free_pair
from tests.support.streams import customer
from undertone.acoustics.codecs import decode, encode

HERE = Path(__file__).parent


def test_sipp_calls(installation: Installation, start_gateway: StartGateway, tmp_path: Path) -> None:
    if not shutil.which("sipp"):
        pytest.skip("no sipp on this machine")
    codes = encode(customer()[0][: 8000 * 3], Encoding.PCMU)
    (tmp_path / "call.ulaw").write_bytes(codes)
    names = named(tmp_path, 1)
    gateway, media = started(start_gateway, "--calls", str(names), idle_s=3)
    named(tmp_path, media)
    sip = free_pair()
    common = ["-i", "127.0.0.1", "-m", "1", "-nostdin", "-timeout", f"{PATIENCE_S}s", "-timeout_error"]
    answerer = ["sipp", "-sf", str(HERE / "sip_answerer.xml"), "-key", "media", str(media), "-p", str(sip), *common]
    caller = ["sipp", "-sf", str(HERE / "sip_caller.xml"), "-mi", "127.0.0.1", "-p", str(sip + 1), *common]
    with subprocess.Popen(answerer, cwd=tmp_path, stdout=subprocess.DEVNULL) as answering:
        # Its INVITE is sent again until somebody answers.
        done = subprocess.run([*caller, f"127.0.0.1:{sip}"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert answering.wait(PATIENCE_S) == 0
    chunks = chunks_of_calls(installation, ended("call/customer"))["call/customer"]
    assert packets_of(gateway, "lost") == 0
    assert np.array_equal(heard(chunks), decode(codes, Encoding.PCMU))
