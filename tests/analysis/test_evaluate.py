"""`undertone evaluate` on real files: what is counted, what is left out, and that files do not disturb each other."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from schemas.errors import UserError
from tests.support.paths import SAMPLES
from undertone.analysis.evaluate import evaluate, masked
from undertone.analysis.manifest import read_manifest
from undertone.analysis.prediction import AFTER_S, AT_ONCE, Band, predict_files
from undertone.inference.model import Model

FILES = {name: SAMPLES / name for name in ("angry.flac", "calm.flac", "phone.wav", "call.flac")}


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load()


def manifest(folder: Path, *rows: str) -> Path:
    for path in FILES.values():
        shutil.copy(path, folder)
    file = folder / "manifest.csv"
    file.write_text("\n".join(["path,emotion,speaker", *rows]) + "\n")
    return file


def test_counts_and_masks(tmp_path: Path, model: Model) -> None:
    first, second, masked_label = model.card.labels[0], model.card.labels[1], model.card.labels[2]
    result = evaluate(
        manifest(
            tmp_path,
            f"angry.flac,{first},ann",
            f"calm.flac, {second.upper()} ,ann",
            f"phone.wav,{second},bob",
            "call.flac,bewildered,cid",
        ),
        model,
    )
    assert (result.n, result.labels) == (3, [first, second])
    assert np.array(result.confusion_matrix).sum(axis=1).tolist() == [1, 2]
    assert result.unknown_labels == {"bewildered": 1}
    assert masked_label in result.masked_labels
    assert list(result.uar_by_speaker) == ["ann", "bob"]
    assert list(result.uar_after_s) == ["0.5", "1", "2", "3"]
    figures = [result.uar, result.accuracy, result.macro_f1, result.ece, *result.uar_after_s.values()]
    assert all(0 <= figure <= 1 for figure in figures)


def test_masking_gives_the_probability_to_the_others_in_proportion() -> None:
    predictions = [np.array([0.2, 0.5, 0.3]), None, np.array([0.0, 1.0, 0.0])]
    np.testing.assert_allclose(masked(predictions, np.array([0, 2])), [[0.4, 0.6], [0.5, 0.5], [0.5, 0.5]])


def predictions_of(paths: list[Path], model: Model, band: Band = Band.CLEAN) -> dict[int, Any]:
    """What was made of each file; none may be unreadable."""
    predictions = dict(predict_files(paths, model, band))
    assert not any(isinstance(prediction, UserError) for prediction in predictions.values())
    return predictions


@pytest.mark.parametrize("band", Band)
def test_a_file_is_heard_the_same_alone_and_among_many(model: Model, band: Band) -> None:
    paths = [FILES["angry.flac"], FILES["call.flac"], FILES["phone.wav"]] * (AT_ONCE // 2)
    many = predictions_of(paths, model, band)
    assert sorted(many) == list(range(len(paths)))
    for index in range(3):
        (alone,) = predictions_of([paths[index]], model, band).values()
        for again in range(index, len(paths), 3):
            np.testing.assert_allclose(many[again].final, alone.final, atol=1e-6)
            np.testing.assert_allclose(many[again].after, alone.after, atol=1e-6)


def test_after_more_speech_than_there_is_the_answer_is_the_last(tmp_path: Path, model: Model) -> None:
    samples, rate = soundfile.read(FILES["angry.flac"], dtype="int16")
    short = tmp_path / "short.wav"
    soundfile.write(short, samples[: int(1.2 * rate)], rate)
    (prediction,) = predictions_of([short], model).values()
    assert 0.5 < prediction.speech_s < 2
    assert AFTER_S == (0.5, 1, 2, 3)
    np.testing.assert_array_equal(prediction.after[2], prediction.final)
    np.testing.assert_array_equal(prediction.after[3], prediction.final)


def test_what_comes_later_does_not_change_the_answer_after_a_second(tmp_path: Path, model: Model) -> None:
    samples, rate = soundfile.read(FILES["calm.flac"], dtype="int16")
    cut = tmp_path / "cut.wav"
    soundfile.write(cut, samples[: 2 * rate], rate)
    predictions = predictions_of([FILES["calm.flac"], cut], model)
    np.testing.assert_allclose(predictions[0].after[:2], predictions[1].after[:2], atol=1e-6)


def test_silence_is_counted_with_equal_probabilities(tmp_path: Path, model: Model) -> None:
    first, second = model.card.labels[:2]
    file = manifest(tmp_path, f"silence.wav,{first},ann", f"angry.flac,{second},ann")
    soundfile.write(tmp_path / "silence.wav", np.zeros(16000, np.int16), 16000)
    result = evaluate(file, model)
    assert (result.n, result.without_speech) == (2, 1)


def test_stereo_is_mixed(tmp_path: Path, model: Model) -> None:
    samples, rate = soundfile.read(FILES["angry.flac"], dtype="int16")
    soundfile.write(tmp_path / "stereo.wav", np.stack([samples, samples], axis=1), rate)
    predictions = predictions_of([FILES["angry.flac"], tmp_path / "stereo.wav"], model)
    np.testing.assert_array_equal(predictions[0].final, predictions[1].final)


def test_unreadable_files_are_left_out_and_named(tmp_path: Path, model: Model) -> None:
    first, second = model.card.labels[:2]
    file = manifest(
        tmp_path, f"angry.flac,{first},ann", f"calm.flac,{second},ann", f"gone.wav,{first},ann", f"cut.flac,{first},ann"
    )
    (tmp_path / "cut.flac").write_bytes(FILES["angry.flac"].read_bytes()[:20_000])
    result = evaluate(file, model)
    assert result.n == 2
    assert [Path(path).name for path in result.unreadable] == ["cut.flac", "gone.wav"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no column path, emotion, speaker"),
        (b"path,emotion\na.wav,angry\n", "no column speaker"),
        (b"path,emotion,speaker\n", "no rows"),
        (b"path,emotion,speaker\n,angry,ann\n", "line 2: no path"),
        (b"path,emotion,speaker\na.wav,,ann\n", "line 2: no emotion"),
        (b"path,emotion,speaker\na.wav\n", "line 2: no emotion"),
        (b"\xff\xfe\x00RIFF", "not a CSV file"),
        (b'path,emotion,speaker\n"a.wav,angry,ann\n', "not a CSV file"),
        (b"path,emotion,speaker\n" + b"x" * 200_000, "not a CSV file"),
    ],
)
def test_bad_manifests_give_one_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    file = tmp_path / "manifest.csv"
    file.write_bytes(content)
    with pytest.raises(UserError, match=complaint) as caught:
        read_manifest(file)
    assert "\n" not in str(caught.value)


def test_a_manifest_without_known_labels_or_readable_files_gives_one_line(tmp_path: Path, model: Model) -> None:
    with pytest.raises(UserError, match="knows none of its labels"):
        evaluate(manifest(tmp_path, "angry.flac,bewildered,ann"), model)
    with pytest.raises(UserError, match="none of its 1 files could be read"):
        evaluate(manifest(tmp_path, f"gone.wav,{model.card.labels[0]},ann"), model)
    with pytest.raises(UserError, match="No such file"):
        evaluate(tmp_path / "gone.csv", model)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from undertone.cli.main import main; main()", "evaluate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=SAMPLES.parent, check=False)


def test_command_line(tmp_path: Path, model: Model) -> None:
    first, second = model.card.labels[:2]
    file = manifest(tmp_path, f"angry.flac,{first},ann", f"calm.flac,{second},ann")
    done = run(file, "--band", "telephone", "--json", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    assert "UAR after 0.5 s" in done.stdout
    figures = json.loads((tmp_path / "out.json").read_text())
    promised = ["n", "labels", "uar", "accuracy", "macro_f1", "ece", "confusion_matrix", "uar_after_s"]
    assert list(figures)[: len(promised)] == promised
    assert figures["band"] == "telephone"


def test_command_line_ends_with_one_where_files_were_left_out(tmp_path: Path, model: Model) -> None:
    first, second = model.card.labels[:2]
    file = manifest(tmp_path, f"angry.flac,{first},ann", f"calm.flac,{second},ann", f"gone.wav,{first},ann")
    done = run(file)
    assert done.returncode == 1
    assert "gone.wav: No such file or directory" in done.stdout


def test_command_line_gives_one_line_for_a_mistake(tmp_path: Path) -> None:
    done = run(tmp_path / "gone.csv")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == f"undertone: {tmp_path}/gone.csv: No such file or directory"
    assert "Traceback" not in done.stderr
