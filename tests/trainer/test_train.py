"""`undertone train` end to end: a CSV with labels of its own becomes a bundle, a report and a published model."""

import io
import json
import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from schemas.card import CallerSpec, GateSpec, SegmentSpec
from schemas.errors import UserError
from schemas.topics import Topics
from tests.support.voices import write_corpus
from trainer.options import TrainingOptions
from trainer.packaging import publish
from trainer.packaging.bundle import with_metrics
from trainer.report import page
from trainer.service import TrainRequest, serve
from trainer.train import Outcome, evaluate_other, run
from trainer.training.weights import load_start, weights_path
from undertone.cli.main import app
from undertone.inference.bundle import bundle_bytes, read_bundle
from undertone.inference.model import Model
from undertone.messaging.clients import reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings
from undertone.registry import changes

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_cache")]

EPOCHS = 4


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two moods that no model here was ever told of, six speakers."""
    return write_corpus(tmp_path_factory.mktemp("corpus"), ("frustrated", "satisfied"), range(6), 6)


@pytest.fixture(scope="module")
def outcome(corpus: Path) -> Outcome:
    """One run from nothing; training takes seconds, so that the tests share it."""
    return run(TrainingOptions((corpus,), start="none", epochs=EPOCHS), lambda *_: None)


@pytest.fixture(scope="module")
def trained(outcome: Outcome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What that run leaves behind."""
    out = tmp_path_factory.mktemp("out")
    page.write(outcome, out)
    return out


def test_everything_is_there(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {
        "model.zip",
        "model.weights.npz",
        "report.html",
        "metrics.json",
        "confusion_matrix.png",
    }
    assert (trained / "confusion_matrix.png").read_bytes().startswith(b"\x89PNG")


def test_the_bundle_runs_and_its_card_says_what_it_is(trained: Path) -> None:
    card = Model.load(trained / "model.zip").card
    assert card.labels == ("frustrated", "satisfied")
    assert card.metrics["parity"] <= 1e-4
    assert card.metrics["heldout_uar"] > 0.7  # two unlike moods; chance is 0.5
    (part,) = card.training_data
    assert (part.corpus, part.licence) == ("calls", "not stated")
    assert part.speakers < 6  # the test speakers are not among them
    assert card.lineage
    assert (card.lineage.started_from, card.lineage.snapshot, card.lineage.seed) == (None, None, 0)
    assert card.reference
    assert card.reference.held_out and card.reference.speakers == 6 - part.speakers
    assert {"labels", "level", "band 1", "probability satisfied"} <= card.reference.figures.keys()


def test_the_figures_are_those_of_unheard_speakers(trained: Path) -> None:
    figures = json.loads((trained / "metrics.json").read_text())
    test = figures["test"]
    assert test["labels"] == ["frustrated", "satisfied"]
    assert np.sum(test["confusion_matrix"]) == test["n"] == 6 * 2 * len(figures["test_speakers"])
    assert set(figures["conditions"]) == {
        "telephone",
        "noise 20 dB",
        "noise 10 dB",
        "noise 0 dB",
        "packet loss 1 in 10",
        "echo 15 dB",
        "hold music 10 dB",
        "after 3 utterances",
        "after 10 utterances",
    }
    assert {"uar", "accuracy", "macro_f1", "ece", "uar_after_s", "per_class"} <= set(test)
    assert len(figures["training"][0]) <= EPOCHS


def test_the_report_needs_nothing_else(trained: Path) -> None:
    text = (trained / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", text)
    assert "<script" not in text
    assert text.count("<img") == 11
    for word in ("frustrated", "satisfied", "ECE", "licence", "sha256"):
        assert word in text


def test_the_same_seed_gives_the_same_network(corpus: Path, outcome: Outcome) -> None:
    again = run(TrainingOptions((corpus,), start="none", epochs=EPOCHS), lambda *_: None)
    assert again.final.bundle.flatbuffer == outcome.final.bundle.flatbuffer
    assert again.final.bundle.card.calibration == outcome.final.bundle.card.calibration


def test_new_emotions_start_from_another_models_weights(
    outcome: Outcome,
    trained: Path,
    kafka_settings: KafkaSettings,
    topics: Topics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The whole command, publishing included: a model that knows other emotions cannot be compared with."""
    monkeypatch.setenv("UNDERTONE_TOPIC_PREFIX", kafka_settings.topic_prefix)
    changes.publish(outcome.final.bundle, kafka_settings)
    more = write_corpus(tmp_path / "more", ("satisfied", "puzzled"), range(4), 3)
    start, bundle = tmp_path / "start.zip", read_bundle(trained / "model.zip")
    changed = {"gate": GateSpec(hangover_frames=40), "segments": SegmentSpec(max_seconds=5)}
    memory = {"caller": CallerSpec(weight=0.5, normal={"frustrated": -1.0, "satisfied": 1.5})}
    start.write_bytes(bundle_bytes(replace(bundle, card=bundle.card.model_copy(update=changed | memory))))
    weights_path(start).write_bytes(weights_path(trained / "model.zip").read_bytes())
    options = TrainingOptions((more,), start=str(start), epochs=2)
    printed = io.StringIO()
    request = TrainRequest(options, tmp_path / "out", publish=True, bootstrap_servers=kafka_settings.bootstrap_servers)
    serve(request, Console(file=printed, width=200))
    said = printed.getvalue()
    assert f"Starting from {outcome.final.bundle.card.version}" in said
    assert "knows other emotions" in said
    card = read_bundle(tmp_path / "out" / "model.zip").card
    assert card.labels == ("puzzled", "satisfied")
    assert {"gate": card.gate, "segments": card.segments} == changed  # a network goes on with what it was trained on
    assert card.caller == CallerSpec(weight=0.5, normal={"puzzled": 0.0, "satisfied": 1.5})
    assert publish.running_model(kafka_settings).card == card
    old, new = load_start(trained / "model.zip").weights, load_start(tmp_path / "out" / "model.zip").weights
    assert np.array_equal(old["standardise/mean"], new["standardise/mean"])
    drift = np.linalg.norm(new["gru/gru_cell/kernel"] - old["gru/gru_cell/kernel"]) / np.linalg.norm(
        old["gru/gru_cell/kernel"]
    )
    assert 0 < drift < 0.5  # it went on from there: two networks from different seeds differ by 1.2


def test_weights_must_be_those_of_their_bundle(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not beside it"):
        (tmp_path / "model.zip").write_bytes((trained / "model.zip").read_bytes())
        load_start(tmp_path / "model.zip")
    weights_path(tmp_path / "model.zip").write_bytes(b"PK no zip")
    with pytest.raises(UserError, match="not a file of weights"):
        load_start(tmp_path / "model.zip")


def test_a_published_model_is_the_bundle(
    outcome: Outcome, trained: Path, kafka_settings: KafkaSettings, topics: Topics
) -> None:
    assert publish.running_model(kafka_settings).card == Model.load().card  # the one that ships
    changes.publish(outcome.final.bundle, kafka_settings)
    with closing(reader(kafka_settings)) as client:
        (record,) = read_to_end(kafka_settings, client, partitions_of(client, topics.models.name))
    assert record.value == (trained / "model.zip").read_bytes()
    assert record.key == outcome.final.bundle.card.version.encode()


def test_a_model_is_published_only_if_it_beats_the_running_one(outcome: Outcome, trained: Path) -> None:
    def decide(running: Model) -> publish.Decision:
        ours = outcome.results["clean"].uar
        return publish.decide(outcome.final.bundle, ours, running, lambda model: evaluate_other(outcome, model).uar)

    itself = decide(Model.load(trained / "model.zip"))
    assert not itself.publish
    assert "on the held-out speakers" in itself.why
    bundle = read_bundle(trained / "model.zip")
    # The same network with its answers exchanged is wrong wherever it was right.
    card = bundle.card.model_copy(update={"labels": bundle.card.labels[::-1], "version": "worse"})
    worse = Model.load(bundle_bytes(replace(bundle, card=card)))
    assert decide(worse).publish


def test_a_card_with_other_figures_is_still_the_same_network(trained: Path) -> None:
    bundle = read_bundle(trained / "model.zip")
    changed = with_metrics(bundle, {"heldout_uar": 0.5})
    assert read_bundle(bundle_bytes(changed)).card.metrics["heldout_uar"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--data", "nowhere"), "nowhere: no such file or folder"),
        (("--data", "{corpus}", "elsewhere"), "elsewhere: no such file or folder"),
        (("--data", "{corpus}", "--name", "No Name"), "--name No Name"),
        (("--data", "{corpus}", "--from", "gone.zip"), "gone.zip: cannot read"),
        (("--data", "{corpus}", "--test-speakers", "nobody"), "no speaker 'nobody'"),
        (("--data", "{corpus}", "--folds", "9"), "ask for fewer folds"),
        (("--data", "{corpus}", "--folds", "3", "--test-speakers", "s1"), "give one of the two"),
        (("--data", "{corpus}", "--publish", "--bootstrap-servers", "127.0.0.1:1"), "no Kafka at 127.0.0.1:1"),
    ],
)
def test_mistakes_get_one_line_before_anything_is_trained(
    corpus: Path, tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    given = [argument.format(corpus=corpus) for argument in arguments]
    result = CliRunner().invoke(app, ["train", *given, "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, UserError)
    assert complaint in str(result.exception)
    assert "\n" not in str(result.exception)
