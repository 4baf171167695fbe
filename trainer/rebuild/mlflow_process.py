"""The process that talks to MLflow: runs with their figures and files, models by version, and the registry's aliases.

    python -m trainer.rebuild.mlflow_process < TASK

Nothing of a call leaves this machine by it: the list of labels to look at stays, and of the report what shows a call.
What it says again is there once: a run has a tag with its folder's name, a model one with its version.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from schemas.aliases import Alias
from trainer.rebuild.runs import DECISION, JOB, Decision, Job, What, write_whole
from trainer.rebuild.tracking import MARK, Mark, Task
from trainer.report.files import BUNDLE, CONFUSION, METRICS, PAGE
from undertone.inference.bundle import CARD, read_bundle

_EXPERIMENT = "undertone"
_RUN, _VERSION, _TOPICS = "undertone.run", "undertone.version", "undertone.topics"
_DEFAULT = "default"
# A dataset's audio file has its call and channel as hashes in its path.
_OF_A_CALL = re.compile(r"[0-9a-f]{32}/[0-9a-f]{32}")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_./ -]")


def main() -> None:
    """Tell MLflow what standard input says."""
    task = Task.model_validate_json(sys.stdin.buffer.read())
    client = MlflowClient()
    for folder in task.runs:
        run_id = _run(client, folder, task.topics or _DEFAULT)
        write_whole(folder / MARK, Mark(run_id=run_id))
    _aliases(client, task)


def _run(client: MlflowClient, folder: Path, topics: str) -> str:
    """A run with all that there is of it. Returns the id that MLflow has given it."""
    decision = Decision.model_validate_json((folder / DECISION).read_bytes())
    job = Job.model_validate_json((folder / JOB).read_bytes()) if (folder / JOB).is_file() else None
    experiment = client.get_experiment_by_name(_EXPERIMENT)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(_EXPERIMENT)
    began = int(decision.started.timestamp() * 1000)
    found = client.search_runs([experiment_id], f"tags.`{_RUN}` = '{folder.name}' and tags.`{_TOPICS}` = '{topics}'")
    tags = {_RUN: folder.name, _TOPICS: topics}
    run = found[0] if found else client.create_run(experiment_id, began, tags, folder.name)
    run_id: str = run.info.run_id
    figures = json.loads((folder / METRICS).read_bytes()) if (folder / METRICS).is_file() else {}
    client.log_batch(run_id, list(_metrics(decision, figures, began)), list(_params(job, figures)), _tags(decision))
    _files(client, run_id, folder)
    if job and decision.what in {What.PUBLISHED, What.NOMINATED}:
        _model(client, run_id, decision.candidate, job.name, topics)
    broken = decision.what in {What.FAILED, What.CRASHED}
    client.set_terminated(run_id, "FAILED" if broken else "FINISHED", began + int(decision.seconds * 1000))
    return run_id


def _metrics(decision: Decision, figures: dict[str, Any], at: int) -> Iterator[Metric]:
    found = {"labels": decision.labels, "labels_to_review": decision.to_review, "seconds": decision.seconds}
    for check in decision.checks:
        name = _NOT_IN_A_NAME.sub("_", check.about if check.name.startswith("group_") else check.name)
        of_check = {"candidate": check.candidate, "champion": check.champion, "low": check.low, "high": check.high}
        found |= {f"gate/{name}/{what}": value for what, value in of_check.items() if value is not None}
    if figures:
        parts = {"clean": figures["test"], **figures["conditions"]}
        names = ("uar", "accuracy", "macro_f1", "ece")
        for part, of_part in parts.items():
            found |= {f"heldout/{_NOT_IN_A_NAME.sub('_', part)}/{name}": of_part[name] for name in names}
        found |= {name: figures[name] for name in ("training_seconds", "us_per_second_of_audio", "parity")}
    for name, value in found.items():
        yield Metric(name, float(value), at, 0)
    for network, epochs in enumerate(figures.get("training", ()), 1):
        for epoch in epochs:
            for name in ("loss", "valid_uar"):
                if epoch[name] is not None:
                    yield Metric(f"training/{network}/{name}", epoch[name], at, epoch["epoch"])


def _params(job: Job | None, figures: dict[str, Any]) -> Iterator[Param]:
    asked = job.model_dump(mode="json", exclude={"bounds", "data", "nice"}) if job else {}
    if job:
        asked |= {f"bound/{name}": value for name, value in job.bounds.model_dump().items()}
        asked["data"] = ", ".join(path.name for path in job.data)
    asked |= {f"recipe/{name}": value for name, value in figures.get("recipe", {}).items()}
    for name, value in asked.items():
        yield Param(name, str(value)[:500])


def _tags(decision: Decision) -> list[RunTag]:
    said = decision.model_dump(mode="json", include={"what", "why", "snapshot", "champion", "candidate"})
    return [RunTag(f"undertone.{name}", _OF_A_CALL.sub("a call", str(value))[:5000]) for name, value in said.items()]


def _files(client: MlflowClient, run_id: str, folder: Path) -> None:
    """Report, figures, card and bundle."""
    with tempfile.TemporaryDirectory() as draft:
        for name in (PAGE, METRICS, DECISION):
            if (folder / name).is_file():
                Path(draft, name).write_text(_without_calls(folder / name), encoding="utf-8")
        if (folder / BUNDLE).is_file():
            card = read_bundle(folder / BUNDLE).card
            Path(draft, CARD).write_text(card.model_dump_json(indent=2), encoding="utf-8")
        client.log_artifacts(run_id, draft)
    for name in (CONFUSION, BUNDLE):
        if (folder / name).is_file():
            client.log_artifact(run_id, str(folder / name))


def _without_calls(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return _OF_A_CALL.sub("a call", text)
    return "".join(line for line in text.splitlines(keepends=True) if not _OF_A_CALL.search(line))


def _model(client: MlflowClient, run_id: str, version: str, name: str, topics: str) -> None:
    """A version of the registered model, unless it is there."""
    if _find(client, version, topics):
        return
    registered = _name(name, topics)
    try:
        client.create_registered_model(registered, {_TOPICS: topics})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {_VERSION: version, _TOPICS: topics}
    client.create_model_version(registered, f"runs:/{run_id}/{BUNDLE}", run_id, tags)


def _aliases(client: MlflowClient, task: Task) -> None:
    """Each alias where the registry has it. One that names a version of which MLflow knows nothing is nowhere there."""
    topics = task.topics or _DEFAULT
    named = {alias: _find(client, version, topics) for alias, version in task.aliases.items()}
    for model in client.search_registered_models(f"tags.`{_TOPICS}` = '{topics}'"):
        for alias in Alias:
            of_model = [found for found in [named.get(alias)] if found and found.name == model.name]
            if of_model:
                client.set_registered_model_alias(model.name, alias, of_model[0].version)
            elif alias in model.aliases:
                client.delete_registered_model_alias(model.name, alias)


def _find(client: MlflowClient, version: str, topics: str) -> ModelVersion | None:
    found = client.search_model_versions(f"tags.`{_VERSION}` = '{version}' and tags.`{_TOPICS}` = '{topics}'")
    return found[0] if found else None


def _name(name: str, topics: str) -> str:
    return name if topics == _DEFAULT else f"{topics}{name}"


if __name__ == "__main__":
    main()
