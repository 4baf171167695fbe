"""The calls by which an alarm is measured: of the strangers alone, each clip judged once."""

import csv
from pathlib import Path

from trainer.distillation.pretraining import STRANGERS, strangers_among
from trainer.distillation.stranger_calls import write
from undertone.analysis.manifest import read_calls


def test_each_clip_of_a_stranger_ends_a_call_of_his_own(tmp_path: Path) -> None:
    speakers = [f"{number:04d}" for number in range(STRANGERS + 3)]
    corpus = tmp_path / "crema-d.csv"
    with corpus.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "emotion", "speaker", "corpus"))
        for who in speakers:
            for take in range(12):
                path = tmp_path / f"{who}-{take}.wav"
                path.touch()
                rows.writerow((path.name, "neutral" if take < 8 else "angry", who, "crema-d"))
    calls = tmp_path / "calls.csv"
    count = write(corpus, calls)
    found = read_calls(calls)
    assert count == len(found) == 12 * STRANGERS
    judged = [call.rows[-1].path for call in found]
    assert len(set(judged)) == len(judged)
    heard = {row.speaker for call in found for row in call.rows}
    assert heard == strangers_among({f"crema-d/{name}" for name in speakers})
    for call in found:
        assert len({row.path for row in call.rows}) == 11
        assert len({row.speaker for row in call.rows}) == 1
        assert [bool(row.emotion) for row in call.rows] == [False] * 10 + [True]
