"""Evaluation on calls: files heard one after the other as one stream, and calls that nobody has labelled."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console
from typer.testing import CliRunner

from schemas.errors import UserError
from tests.support.manifests import manifest
from tests.support.paths import SAMPLES
from undertone.analysis.analyze import AnalyzeOptions, analyze
from undertone.analysis.evaluate import after_utterances, evaluate
from undertone.analysis.manifest import read_calls
from undertone.analysis.output import JsonLines
from undertone.analysis.prediction import Band, predict_calls
from undertone.analysis.unlabelled import Heard, evaluate_unlabelled
from undertone.cli.evaluate import app
from undertone.inference.call_stream import CallStream
from undertone.inference.model import Model


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load()


def test_a_calls_files_are_heard_in_order_as_one_stream_with_a_second_between(tmp_path: Path, model: Model) -> None:
    first, second = model.card.labels[:2]
    file = manifest(
        tmp_path, f"calm.flac,{second},ann,one,10", f"angry.flac,{first},ann,one,9", f"calm.flac,{second},bob,two,1"
    )
    assert [[row.path.name for row in call.rows] for call in read_calls(file)] == [
        ["angry.flac", "calm.flac"],
        ["calm.flac"],
    ]
    ((_, (angry, calm)),) = predict_calls([[tmp_path / "angry.flac", tmp_path / "calm.flac"]], model)
    parts = [soundfile.read(SAMPLES / name, dtype="int16") for name in ("angry.flac", "calm.flac")]
    rate = parts[0][1]
    stream = CallStream(model, rate)
    whole = np.concatenate([parts[0][0], np.zeros(rate, np.int16), parts[1][0]])
    events = [*stream.feed(whole), *stream.end()]
    segments = [event.data for event in events if event.data.type == "segment"]
    border = len(parts[0][0]) + rate
    for prediction, mine in (
        (angry, [one for one in segments if one.start_sample < border]),
        (calm, [one for one in segments if one.start_sample >= border]),
    ):
        assert not isinstance(prediction, UserError)
        assert mine
        assert prediction.speech_s == pytest.approx(sum(one.speech_s for one in mine))
        if len(mine) == 1:
            assert prediction.final is not None
            np.testing.assert_allclose(prediction.final, list(mine[0].probabilities.values()), atol=2e-6)


def test_a_file_that_begins_within_a_hop_has_its_own_utterances(tmp_path: Path, model: Model) -> None:
    """Lengths are no multiples of 200 samples, and speech begins with the first sample: on noise the gate is open."""
    noise = np.random.default_rng(0).normal(0, 2000, 20_000).astype(np.int16)
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", noise[: 16_000 + 37 * number + 1], 16_000)
    ((_, predictions),) = predict_calls([[tmp_path / f"{number}.wav" for number in range(4)]], model)
    for prediction in predictions:
        assert not isinstance(prediction, UserError)
        assert 0.9 < prediction.speech_s < 1.5


def test_figures_are_given_by_what_was_heard_before(tmp_path: Path, model: Model) -> None:
    first, second = model.card.labels[:2]
    rows = [
        f"{name}.flac,{label},ann,one,{n}"
        for n, (name, label) in enumerate([("calm", second)] * 4 + [("angry", first)])
    ]
    rows[1] = "calm.flac,,ann,one,1"  # heard, not counted
    figures = evaluate(manifest(tmp_path, *rows), model, calls=True).to_json()
    assert (figures["calls"], figures["n"]) == (1, 4)
    assert figures["n_after_utterances"] == {"0": 1, "3": 2, "10": 0}
    assert list(figures["uar_after_utterances"]) == ["0", "3", "10"]
    assert figures["uar_after_utterances"]["10"] is None
    assert all(0 <= value <= 1 for value in list(figures["uar_after_utterances"].values())[:2])


def test_groups_of_utterances_heard() -> None:
    truth, guesses = np.array([0, 1, 0, 1, 0]), np.array([0, 0, 0, 1, 1])
    groups = after_utterances(truth, guesses, np.array([0, 0, 2, 9, 25]), 2)
    assert groups == {"0": (2, 0.5), "3": (1, 1.0), "10": (1, 0.0)}


def test_the_figures_say_which_class_prior_they_expect(tmp_path: Path, model: Model) -> None:
    first, second = model.card.labels[:2]
    file = manifest(tmp_path, f"angry.flac,{first},ann,a,1", f"calm.flac,{second},ann,a,2")
    for options, share in (((), 1 / len(model.card.labels)), (("--class-prior", "neutral=0.9"), 0.9)):
        done = CliRunner().invoke(app, [str(file), *options, "--json", str(tmp_path / "figures.json")])
        assert done.exit_code == 0, done.output
        assert json.loads((tmp_path / "figures.json").read_text())["class_prior"]["neutral"] == pytest.approx(share)
        assert "class prior: " in done.output
    done = CliRunner().invoke(app, [str(SAMPLES / "call.flac"), "--unlabelled", "--json", str(tmp_path / "own.json")])
    assert json.loads((tmp_path / "own.json").read_text())["class_prior"] == pytest.approx(model.class_prior)
    assert "Share of the speech time by label" in done.output


def test_files_one_by_one_have_no_figures_of_calls(tmp_path: Path, model: Model) -> None:
    first, second = model.card.labels[:2]
    figures = evaluate(
        manifest(tmp_path, f"angry.flac,{first},ann,a,1", f"calm.flac,{second},ann,a,2"), model
    ).to_json()
    assert figures["calls"] is None
    assert "uar_after_utterances" not in figures


def test_an_unreadable_file_of_a_call_is_named_and_the_rest_is_heard(tmp_path: Path, model: Model) -> None:
    first, second = model.card.labels[:2]
    file = manifest(tmp_path, f"angry.flac,{first},a,one,1", f"gone.wav,{first},a,one,2", f"calm.flac,{second},a,one,3")
    result = evaluate(file, model, calls=True)
    assert result.n == 2
    assert [Path(path).name for path in result.unreadable] == ["gone.wav"]


@pytest.mark.parametrize(
    ("columns", "row", "complaint"),
    [
        ("path,emotion,speaker", "angry.flac,angry,ann", "no column call, order"),
        ("path,emotion,speaker,call,order", "angry.flac,angry,ann,,1", "line 2: no call"),
        ("path,emotion,speaker,call,order", ",angry,ann,one,1", "line 2: no path"),
        ("path,emotion,speaker,call,order", "angry.flac,angry,ann,one,first", "line 2: order 'first' is no number"),
        ("path,emotion,speaker,call,order", "a.wav,angry,ann,one,1\nb.wav,angry,ann,one,1", "line 3: .* there twice"),
        ("path,emotion,speaker,call,order", "", "no rows"),
    ],
)
def test_a_bad_manifest_of_calls_gets_one_line(
    tmp_path: Path, model: Model, columns: str, row: str, complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint):
        evaluate(manifest(tmp_path, row, columns=columns), model, calls=True)


def test_unlabelled_calls_are_heard_on_both_sides_and_their_shares_are_those_of_the_segments(
    tmp_path: Path, model: Model
) -> None:
    result = evaluate_unlabelled(SAMPLES / "call.flac", model)
    lines = tmp_path / "events.jsonl"
    with lines.open("w") as out:
        analyze([str(SAMPLES / "call.flac")], model, AnalyzeOptions(analyze_agent=True), JsonLines(out, Console()))
    events = [json.loads(line) for line in lines.read_text().splitlines()]
    segments = [event for event in events if event["type"] == "segment"]
    speech_s = sum(event["speech_s"] for event in segments)
    assert result.speech_s == pytest.approx(speech_s)
    for label, share in result.share.items():
        mine = sum(event["speech_s"] for event in segments if event["label"] == label)
        assert share == pytest.approx(mine / speech_s)
    assert sum(share or 0 for share in result.share.values()) == pytest.approx(1)
    assert set(result.by_role) == {"agent", "customer"}
    assert (result.calls, result.streams) == (1, len({event["channel"] for event in events}))
    assert sum(figures["speech_s"] for figures in result.by_role.values()) == pytest.approx(speech_s)


def test_no_speech_has_no_shares() -> None:
    assert Heard().figures(["angry"])["share"] == {"angry": None}


@pytest.mark.parametrize("band", Band)
def test_unlabelled_files_of_a_call_are_one_stream(tmp_path: Path, model: Model, band: Band) -> None:
    file = manifest(tmp_path, "calm.flac,one,1", "angry.flac,one,2", "calm.flac,two,1", columns="path,call,order")
    result = evaluate_unlabelled(file, model, band)
    assert (result.calls, result.streams) == (2, 2)
    assert set(result.by_stream) == {"one/customer", "two/customer"}


def test_unlabelled_recordings_of_a_manifest_keep_their_channels(tmp_path: Path, model: Model) -> None:
    file = manifest(tmp_path, "call.flac", "gone.wav", columns="path")
    result = evaluate_unlabelled(file, model)
    assert set(result.by_role) == {"agent", "customer"}
    assert [Path(path).name for path in result.unreadable] == ["gone.wav"]
    with pytest.raises(UserError, match=r"none of its recordings could be read: .*gone\.wav"):
        evaluate_unlabelled(manifest(tmp_path, "gone.wav", columns="path"), model)
