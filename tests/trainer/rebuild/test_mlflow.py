"""MLflow is told of runs, models and aliases, in a SQLite store; one that is away costs a line."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from tests.support.installation import wait_for
from tests.trainer.rebuild.conftest import FAILED, LABELS, PASSED, Trainer
from trainer.collection.dataset import hash_of
from trainer.rebuild import tracking
from trainer.rebuild.runs import Runs
from undertone.registry import changes

OF_A_CALL = f"../../dataset/audio/{hash_of('call-1')}/{hash_of('customer')}/1.wav"
REPORT = f"<h1>report</h1>\n<tr><td>{OF_A_CALL}</td></tr>\n<p>end</p>\n"
FIGURES = {
    "test": {"uar": 0.75, "accuracy": 0.7, "macro_f1": 0.7, "ece": 0.1},
    "conditions": {"telephone": {"uar": 0.5, "accuracy": 0.5, "macro_f1": 0.5, "ece": 0.2}},
    "training_seconds": 3.0,
    "us_per_second_of_audio": 100.0,
    "parity": 1e-6,
    "training": [[{"epoch": 1, "loss": 1.5, "valid_uar": None}, {"epoch": 2, "loss": 1.0, "valid_uar": 0.6}]],
    "recipe": {"epochs": 2},
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)  # where MLflow puts the artefacts of such a store
    return MlflowClient(uri)


def leaves(trainer: Trainer, version: str, *checks: object) -> None:
    """As the training process does, with a report and figures."""
    trainer.leaves(version, *checks)  # type: ignore[arg-type]
    script = trainer.folder / "process.py"
    files = {"report.html": REPORT, "metrics.json": json.dumps(FIGURES), "review.csv": f"audio\n{OF_A_CALL}\n"}
    script.write_text(f"{script.read_text()}\nfor name, text in {files!r}.items(): (folder / name).write_text(text)\n")


def aliases(store: MlflowClient) -> dict[str, str]:
    """Version by alias, of all models."""
    return {
        alias: store.get_model_version(model.name, number).tags["undertone.version"]
        for model in store.search_registered_models()
        for alias, number in model.aliases.items()
    }


@pytest.mark.slow
def test_runs_models_and_aliases_go_there_and_calls_do_not(
    trainer: Trainer, store: MlflowClient, tmp_path: Path
) -> None:
    runs = Runs(trainer.out)
    leaves(trainer, "better", PASSED)
    trainer.rebuild()
    leaves(trainer, "worse", FAILED, PASSED)
    trainer.rebuild()
    assert tracking.tell(trainer.kafka, runs) == ""
    experiment = store.get_experiment_by_name("undertone")
    assert experiment
    worse, better = store.search_runs([experiment.experiment_id], order_by=["start_time DESC"])
    assert better.data.tags["undertone.what"] == "published"
    assert worse.data.tags["undertone.what"] == "refused"
    assert worse.data.tags["undertone.why"] == "UAR on what people said 0.5 (champion 0.6): 6 files of 2 speakers"
    assert better.info.status == "FINISHED"
    metrics = better.data.metrics
    assert (metrics["gate/people/candidate"], metrics["gate/people/champion"]) == (0.8, 0.6)
    assert (metrics["heldout/clean/uar"], metrics["heldout/telephone/uar"]) == (0.75, 0.5)
    loss = store.get_metric_history(better.info.run_id, "training/1/loss")
    assert [(one.step, one.value) for one in loss] == [(1, 1.5), (2, 1.0)]
    assert better.data.params["seed"] == "0"

    files = {file.path for file in store.list_artifacts(better.info.run_id)}
    assert files == {"report.html", "metrics.json", "decision.json", "card.json", "model.zip"}
    fetched = Path(download_artifacts(run_id=better.info.run_id, dst_path=str(tmp_path / "fetched")))
    assert (fetched / "report.html").read_text() == "<h1>report</h1>\n<p>end</p>\n"
    assert json.loads((fetched / "card.json").read_text())["version"] == "better"
    assert not any(hash_of("call-1") in path.read_text(errors="replace") for path in fetched.iterdir())

    # Only what was published is a model there.
    (model,) = store.search_registered_models()
    assert model.name.endswith("emotions")
    (version,) = store.search_model_versions(f"name = '{model.name}'")
    assert (version.tags["undertone.version"], version.run_id) == ("better", better.info.run_id)
    assert aliases(store) == {"champion": "better"}  # the one before ships, and MLflow does not know it

    # Said again it is there once; and aliases follow what people do.
    for mark in trainer.out.glob("runs/*/mlflow.json"):
        mark.unlink()
    leaves(trainer, "other", PASSED, LABELS)
    trainer.rebuild()
    assert tracking.tell(trainer.kafka, runs) == ""
    assert len(store.search_runs([experiment.experiment_id])) == 3
    assert len(store.search_model_versions(f"name = '{model.name}'")) == 2
    assert aliases(store) == {"champion": "better", "challenger": "other"}
    changes.promote(trainer.kafka, "other", "ann")
    assert tracking.tell(trainer.kafka) == ""
    assert aliases(store) == {"champion": "other", "previous": "better"}


@pytest.mark.slow
def test_a_server_that_is_away_costs_a_line_and_is_told_later(
    trainer: Trainer, store: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, uri = Runs(trainer.out), store.tracking_uri
    leaves(trainer, "better", PASSED)
    trainer.rebuild()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    fault = tracking.tell(trainer.kafka, runs)
    assert "127.0.0.1" in fault
    assert "\n" not in fault
    assert trainer.champion == "better"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert tracking.tell(trainer.kafka, runs) == ""
    assert aliases(store) == {"champion": "better"}


def test_one_that_hangs_is_given_up(trainer: Trainer, store: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    script = trainer.folder / "hangs.py"
    pid = trainer.folder / "pid"
    script.write_text(f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n")
    monkeypatch.setattr(tracking, "PROCESS", (tracking.PROCESS[0], str(script)))
    monkeypatch.setattr(tracking, "_LIMIT_S", 10.0)
    assert tracking.tell(trainer.kafka, Runs(trainer.out)) == "it has not answered for 10 s"
    wait_for(lambda: not Path(f"/proc/{pid.read_text()}").exists(), "its end")
    assert tracking.tell(trainer.kafka, stopping=lambda: True) == ""


def test_nobody_is_told_where_nobody_asks(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(tracking, "PROCESS", ("/nowhere",))
    assert tracking.tell(trainer.kafka, Runs(trainer.out)) == ""


def test_where_it_is_not_installed_a_line_says_how(
    trainer: Trainer, store: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    assert tracking.tell(trainer.kafka) == "mlflow is not installed: pip install 'undertone[mlflow]'"
