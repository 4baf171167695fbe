"""What the training process leaves: the report names no call, lists labels that look wrong, and forgets with them."""

import csv
import json
from pathlib import Path

import pytest

from tests.support.datasets import MOODS, labelled_dataset
from trainer.collection import snapshots
from trainer.collection.erasure import erase
from trainer.rebuild.runs import Job
from trainer.rebuild.training import train_and_judge
from undertone.inference.bundle import DEFAULT_BUNDLE

SWAPPED = {2, 13, 24}


def _said(number: int, mood: str) -> str:
    return MOODS[1 - MOODS.index(mood)] if number in SWAPPED else mood


@pytest.mark.slow
def test_labels_that_look_wrong_are_listed_and_a_forgotten_call_leaves_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERTONE_CACHE_DIR", str(tmp_path / "cache"))
    dataset = labelled_dataset(tmp_path / "dataset", callers=8, takes=2, said=_said)
    data = snapshots.local_folder(dataset, snapshots.make(dataset).version)
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    job = Job(data=(data,), epochs=1)
    verdict = train_and_judge(job, folder, DEFAULT_BUNDLE.read_bytes(), lambda *_: None)

    rows = list(csv.DictReader((folder / "review.csv").open(encoding="utf-8", newline="")))
    assert verdict.to_review == len(rows)
    found = {row["event_id"]: row for row in rows}
    assert found.keys() >= {f"event-{number}" for number in SWAPPED}
    assert len(rows) <= 6
    wrong = found["event-13"]
    assert (wrong["said"], wrong["looks_like"], wrong["stream"]) == (MOODS[0], MOODS[1], "call-3/customer")
    assert wrong["listen"] == "undertone audio event-13 --output event-13.wav"
    assert Path(wrong["audio"]).is_file()
    assert (wrong["votes"], wrong["people"]) == ("1", "1")

    def pages() -> dict[str, str]:
        return {name: (folder / name).read_text(encoding="utf-8") for name in ("report.html", "review.csv")}

    report = (folder / "report.html").read_text(encoding="utf-8")
    assert f"{len(rows)} labels look wrong" in report
    link = f'href="../../{Path(wrong["audio"]).relative_to(tmp_path)}"'
    assert link in report
    assert 'alt="A waveform and a spectrogram of each emotion."' in report
    figures = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert set(figures["test_speakers"]) == figures["uar_by_speaker"].keys() <= {f"call {n}" for n in range(1, 9)}
    assert "call-" not in report.partition("<svg")[0]
    assert not any(f"call-{n}" in json.dumps(figures) for n in range(8))

    # The call of a label that looks wrong, and that of which the examples are.
    for call in ("call-3", "call-0"):
        before = pages()
        erased = erase(dataset, call)
        assert erased.reports > 0
        assert pages() != before
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert link not in report
    assert 'alt="A waveform and a spectrogram of each emotion."' not in report
    assert "Which emotions it hears" in report
    left = list(csv.DictReader((folder / "review.csv").open(encoding="utf-8", newline="")))
    assert {row["stream"] for row in left} == {row["stream"] for row in rows} - {"call-3/customer", "call-0/customer"}
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8")) == figures
