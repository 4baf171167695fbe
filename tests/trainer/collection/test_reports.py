"""Reports forget a call: its lines go, the rest stays, and files that are not about it are not touched."""

from pathlib import Path

import pytest

from trainer.collection.dataset import Dataset, hash_of
from trainer.collection.reports import erase, folders


@pytest.fixture
def run(tmp_path: Path) -> Path:
    made = tmp_path / "runs" / "one"
    made.mkdir(parents=True)
    return made


def test_each_line_about_a_call_goes_and_json_stays_json(run: Path) -> None:
    ours, other = (f"/d/audio/{hash_of(call)}/{hash_of('customer')}/1.wav" for call in ("call-1", "call-2"))
    (run / "review.csv").write_text(f"said,audio\nsad,{ours}\nangry,{other}\n")
    (run / "decision.json").write_text(f'{{"why": "{ours}: not a sound"}}\n')
    (run / "log.txt").write_text("nothing of it\n")
    before = (run / "log.txt").stat().st_mtime_ns
    assert erase([run.parent], "call-1") == 2
    assert (run / "review.csv").read_text() == f"said,audio\nangry,{other}\n"
    assert (
        run / "decision.json"
    ).read_text() == f'{{"why": "/d/audio/forgotten/{hash_of("customer")}/1.wav: not a sound"}}\n'
    assert (run / "log.txt").stat().st_mtime_ns == before
    assert erase([run.parent], "call-1") == 0


def test_of_a_stream_only_the_stream_goes(run: Path) -> None:
    sides = [f"audio/{hash_of('call-1')}/{hash_of(channel)}/1.wav" for channel in ("customer", "agent")]
    (run / "review.csv").write_text("\n".join(sides) + "\n")
    assert erase([run.parent], "call-1/customer") == 1
    assert (run / "review.csv").read_text() == f"{sides[1]}\n"


def test_runs_are_found_beside_the_dataset_and_where_the_trainer_is_said_to_work(run: Path, tmp_path: Path) -> None:
    beside = run.parent.resolve()
    dataset = Dataset.open(str(tmp_path / "dataset"))
    assert folders(dataset, None) == [beside]
    assert folders(dataset, tmp_path) == [beside]
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "runs").mkdir(parents=True)
    assert folders(dataset, elsewhere) == [elsewhere.resolve() / "runs", beside]
    assert folders(Dataset.open("memory://labels"), None) == []
