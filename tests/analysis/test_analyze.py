"""`undertone analyze` on real files: the same lines whatever the chunks, tables, bad files, standard input."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from schemas.events import EVENT, Segment, Summary
from tests.support.paths import ROOT
from undertone.cli.analyze import app

SAMPLES = ROOT / "samples"


def analyze(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from undertone.cli.main import main; main()", "analyze", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, cwd=ROOT, check=False)


def lines(*arguments: object) -> list[bytes]:
    """What the command prints; in this process, for the imports alone take two seconds."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--format", "jsonl"])
    assert done.exit_code == 0, done.output
    return done.stdout_bytes.splitlines()


@pytest.fixture(scope="module")
def call() -> list[bytes]:
    return lines(SAMPLES / "call.flac")


def test_lines_are_events_in_the_order_of_time(call: list[bytes]) -> None:
    events = [EVENT.validate_json(line) for line in call]
    assert {(event.call_id, event.channel, event.sample_rate) for event in events} == {("call", "customer", 8000)}
    assert isinstance(events[-1], Summary)
    assert events[-1].end_sample == 204_000
    assert sum(isinstance(event, Segment) for event in events) == events[-1].segments >= 3
    for event in events:
        assert sum(event.probabilities.values()) == pytest.approx(1, abs=1e-4)
    assert all(json.loads(line)["audio"] is None for line in call)


@pytest.mark.parametrize("chunk_ms", [60, 370, 1000])
def test_lines_do_not_depend_on_chunks(call: list[bytes], chunk_ms: int) -> None:
    assert lines(SAMPLES / "call.flac", "--chunk-ms", chunk_ms) == call


def test_agents_are_analysed_only_when_asked(call: list[bytes]) -> None:
    both = lines(SAMPLES / "call.flac", "--analyze-agent")
    assert [line for line in both if json.loads(line)["role"] == "customer"] == call
    assert {json.loads(line)["channel"] for line in both} == {"agent", "customer"}


def test_roles_and_rate_are_the_users(call: list[bytes]) -> None:
    swapped = lines(SAMPLES / "call.flac", "--channels", "customer,agent", "--rate", 16000)
    assert {json.loads(line)["sample_rate"] for line in swapped} == {16000}
    assert json.loads(swapped[0])["start_sample"] != 2 * json.loads(call[0])["start_sample"]


def test_standard_input_is_heard_like_a_file(call: list[bytes]) -> None:
    samples, _ = soundfile.read(SAMPLES / "call.flac", dtype="int16")
    options = ("--rate", 8000, "--channels", "agent,customer", "--format", "jsonl")
    done = analyze("-", *options, stdin=samples.astype("<i2").tobytes())
    assert done.returncode == 0, done.stderr.decode()
    assert [line.replace(b'"stdin"', b'"call"') for line in done.stdout.splitlines()] == call


def test_encoding_is_heard() -> None:
    plain, coded = lines(SAMPLES / "phone.wav"), lines(SAMPLES / "phone.wav", "--encoding", "pcmu")
    assert plain != coded
    assert json.loads(plain[-1])["speech_s"] == pytest.approx(json.loads(coded[-1])["speech_s"], abs=0.2)


def test_tables_show_segments_timeline_and_summary() -> None:
    done = analyze(SAMPLES / "call.flac", SAMPLES / "angry.flac")
    text = done.stdout.decode()
    assert done.returncode == 0
    assert "call/customer" in text
    assert "angry/customer" in text
    assert "agents are not analysed without --analyze-agent" in text
    assert "0:25.50" in text
    assert "█" in text


def test_bad_files_are_left_out_and_the_others_go_through(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is no audio")
    (tmp_path / "cut.flac").write_bytes((SAMPLES / "angry.flac").read_bytes()[:20_000])
    names = ["empty.wav", "text.wav", "cut.flac", "gone.wav"]
    paths = [tmp_path / name for name in names]
    done = analyze(*paths, SAMPLES / "calm.flac", "--format", "jsonl")
    assert done.returncode == 1
    complaints = [line for line in done.stderr.decode().splitlines() if line.startswith("left out: ")]
    assert [name for name, line in zip(names, complaints, strict=True) if name in line] == names
    heard = {json.loads(line)["call_id"] for line in done.stdout.splitlines()}
    assert "calm" in heard
    assert "Traceback" not in done.stderr.decode()


def test_a_damaged_file_is_heard_up_to_there(tmp_path: Path) -> None:
    whole = (SAMPLES / "call.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    done = analyze(tmp_path / "cut.flac", "--format", "jsonl")
    assert done.returncode == 1
    last = EVENT.validate_json(done.stdout.splitlines()[-1])
    assert isinstance(last, Summary)
    assert 40_000 < last.end_sample < 204_000


def test_silence_is_no_speech(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(32_000, np.int16), 16_000)
    (line,) = lines(tmp_path / "silence.wav")
    summary = json.loads(line)
    assert (summary["label"], summary["probabilities"], summary["level_dbfs"]) == ("no-speech", {}, None)
    assert "no-speech" in analyze(tmp_path / "silence.wav").stdout.decode()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-", "samples/call.flac"], "stands alone"),
        (["samples/call.flac", "--channels", "agent,boss"], "no role"),
        (["samples/call.flac", "--channels", "customer"], "has 2 channels"),
        (["samples/call.flac", "--model", "samples/call.flac"], "not a model bundle"),
        (["samples/call.flac", "--output", "no/such/folder/out"], "No such file or directory"),
    ],
)
def test_mistakes_get_one_line(arguments: list[str], complaint: str) -> None:
    done = analyze(*arguments, "--format", "jsonl")
    assert done.returncode in (1, 2)
    said = [line for line in done.stderr.decode().splitlines() if line.startswith(("undertone:", "left out:"))]
    assert len(said) == 1
    assert complaint in said[0]
    assert "Traceback" not in done.stderr.decode()


def test_output_goes_to_a_file(tmp_path: Path, call: list[bytes]) -> None:
    done = analyze(SAMPLES / "call.flac", "--format", "jsonl", "--output", tmp_path / "out.jsonl")
    assert done.stdout == b""
    assert (tmp_path / "out.jsonl").read_bytes().splitlines() == call
