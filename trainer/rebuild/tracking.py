"""What runs have come to, and what the registry names, told to MLflow where MLFLOW_TRACKING_URI is set.

A process of its own does it, so that the trainer holds none of MLflow's memory, and nothing of it can hold up or fail a
rebuild: a server that is away is one line. A run is marked when MLflow has it; others are told of the next time.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from kafka.errors import KafkaError
from pydantic import BaseModel, ConfigDict

from schemas.aliases import Alias
from schemas.errors import UserError, one_line
from trainer.rebuild.runs import Runs
from undertone.devbroker.die_with_parent import tethered
from undertone.messaging.settings import KafkaSettings
from undertone.registry.contents import read_contents

PROCESS = (sys.executable, "-m", "trainer.rebuild.mlflow_process")
# Its mark in a run's folder, with the id that MLflow has given the run.
MARK = "mlflow.json"
_URI = "MLFLOW_TRACKING_URI"
# A run has some 3 MB. Without these bounds MLflow tries for minutes to reach a server that is away.
_LIMIT_S = 120.0
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
_LOOK_S = 0.2
_LONGEST_LINE = 300


class Task(BaseModel):
    """What the process is to tell MLflow: these runs' folders, and what each alias names.

    topics: the prefix of the installation's topics, for several may share a server.
    """

    model_config = ConfigDict(frozen=True)

    topics: str
    runs: tuple[Path, ...]
    aliases: Mapping[Alias, str]


class Mark(BaseModel):
    """The id that MLflow has given a run."""

    model_config = ConfigDict(frozen=True)

    run_id: str


def is_wanted() -> bool:
    """Whether there is an MLflow to tell."""
    return bool(os.environ.get(_URI))


def tell(kafka: KafkaSettings, runs: Runs | None = None, stopping: Callable[[], bool] = lambda: False) -> str:
    """Tell MLflow. Returns one line of what went wrong; nothing where nothing did, or nobody wants to be told.

    Args:
        runs: those that it may not know yet.
        stopping: whether to leave off; what is left is told the next time.
    """
    if not is_wanted():
        return ""
    if find_spec("mlflow") is None:
        return "mlflow is not installed: pip install 'undertone[mlflow]'"
    try:
        registry = read_contents(kafka).state
        folders = tuple(folder for folder, _ in runs.done() if not (folder / MARK).is_file()) if runs else ()
    except (UserError, KafkaError) as error:
        return one_line(str(error))
    aliases = {alias: version for alias in Alias if (version := registry.named(alias))}
    return _run(Task(topics=kafka.topic_prefix, runs=folders, aliases=aliases), stopping)


def _run(task: Task, stopping: Callable[[], bool]) -> str:
    process = subprocess.Popen(
        tethered(PROCESS),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=_PATIENCE | os.environ,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + _LIMIT_S
    said: str | None = task.model_dump_json()
    try:
        while not stopping():
            try:
                _, errors = process.communicate(said, timeout=_LOOK_S)
            except subprocess.TimeoutExpired:
                said = None
                if time.monotonic() > until:
                    return f"it has not answered for {_LIMIT_S:.0f} s"
                continue
            last = errors.strip().splitlines()[-1:] or [f"the process ended with status {process.returncode}"]
            return "" if process.returncode == 0 else one_line(last[0])[:_LONGEST_LINE]
        return ""
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
