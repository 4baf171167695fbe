"""One rebuild: the lease, a snapshot, a training in a process of its own, the gate, and what follows from it."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from schemas.errors import UserError
from trainer.collection import snapshots
from trainer.collection.dataset import Dataset
from trainer.collection.entry import State
from trainer.data.snapshot_folders import contents
from trainer.rebuild.lease import Lease, LeaseLostError
from trainer.rebuild.runs import (
    CHAMPION,
    DECISION,
    GATE,
    JOB,
    LOG,
    Decision,
    Job,
    Runs,
    Verdict,
    What,
    clear,
    write_whole,
)
from trainer.report.files import BUNDLE
from undertone.devbroker.die_with_parent import tethered
from undertone.inference.bundle import read_bundle
from undertone.messaging.settings import KafkaSettings
from undertone.registry.changes import nomination, succession, whoever
from undertone.registry.contents import read_contents

log = logging.getLogger(__name__)

PROCESS = (sys.executable, "-m", "trainer.rebuild.process")
_LOOK_S = 0.5
# The newest run of a killed trainer may hold the lease for a session; another one at work holds it far longer.
_LEASE_WAITS = 3


class TrainingError(UserError):
    """The training process has crashed: nothing is wrong with the data, as far as is known."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a rebuild is made of. `job` says how, its data are the corpora."""

    out: Path
    job: Job
    dataset: Dataset
    lease_s: float


class Rebuild:
    """One rebuild, in the thread that calls `run`: the training process ends when that thread does."""

    def __init__(
        self, kafka: KafkaSettings, request: Request, say: Callable[[str], None], stopping: Callable[[], bool]
    ) -> None:
        self._kafka, self._request, self._say, self._stopping = kafka, request, say, stopping

    def run(self) -> tuple[Path, Decision] | None:
        """Do it. Returns the run's folder and what became of it; None where it was told to stop.

        Raises:
            UserError: no Kafka, another trainer is at it, or the folder cannot be written. Nothing is published.
        """
        runs = Runs(self._request.out)
        with Lease(self._kafka, self._request.lease_s) as lease:
            if not lease.take(_LEASE_WAITS * self._request.lease_s, self._stopping):
                return None
            started, began = datetime.now(UTC), time.monotonic()
            folder = runs.begin(started)
            attempt = _Attempt(self._kafka, self._request, folder, lease, self._say, self._stopping)
            decision = attempt.decide()
            if decision is None:
                return None
            done = {"started": started, "seconds": round(time.monotonic() - began, 1)}
            decision = decision.model_copy(update=done)
            write_whole(folder / DECISION, decision)
        return folder, decision


class _Attempt:
    """A rebuild that has the lease and a folder."""

    def __init__(
        self,
        kafka: KafkaSettings,
        request: Request,
        folder: Path,
        lease: Lease,
        say: Callable[[str], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._kafka, self._request, self._folder, self._lease = kafka, request, folder, lease
        self._say, self._stopping = say, stopping
        self._known = {"started": datetime.now(UTC), "seconds": 0.0}

    def decide(self) -> Decision | None:
        registry = read_contents(self._kafka)
        champion = registry.in_use()
        self._known["champion"] = champion.version
        try:
            data = self._data()
            learnt_from = contents(data)
            job = self._request.job.model_copy(update={"data": data})
            write_whole(self._folder / JOB, job)
            (self._folder / CHAMPION).write_bytes(champion.value)
            if not self._train():
                return None
            verdict = self._verdict()
        except LeaseLostError:
            raise
        except UserError as error:
            what = What.CRASHED if isinstance(error, TrainingError) else What.FAILED
            return self._decision(what, str(error))
        self._known |= {"candidate": verdict.version, "checks": verdict.checks, "to_review": verdict.to_review}
        # From here on `labels forget` names this model; what was forgotten before is missing in what it learnt from.
        if snapshot := self._known.get("snapshot"):
            snapshots.note_model(self._request.dataset, str(snapshot), verdict.version)
            snapshots.local_folder(self._request.dataset, str(snapshot))  # a copy learns what has left the store
        if contents(data) != learnt_from:
            clear(self._folder)
            return self._decision(What.OUTDATED, "a call was forgotten while the model was trained with it")
        return self._publish(verdict, champion.version)

    def _publish(self, verdict: Verdict, champion: str) -> Decision:
        self._lease.keep()
        registry = read_contents(self._kafka)
        if registry.in_use().version != champion:
            return self._decision(What.OUTDATED, f"the champion is no longer {champion}, which it was compared with")
        if verdict.version == champion:
            return self._decision(What.UNCHANGED, "the same labels and data give the champion again")
        bundle = read_bundle(self._folder / BUNDLE)
        if not verdict.failed:
            self._lease.write(succession(registry, bundle, whoever(), "trainer"))
            return self._decision(What.PUBLISHED, "it passed every check that could be made")
        why = "; ".join(check.told() for check in verdict.checks if check.passed is False)
        if verdict.failed == ("labels",):
            self._lease.write(nomination(registry, bundle, whoever(), "trainer"))
            return self._decision(What.NOMINATED, why)
        return self._decision(What.REFUSED, why)

    def _data(self) -> tuple[Path, ...]:
        """The corpora, and a snapshot of what people have labelled."""
        dataset, data = self._request.dataset, self._request.job.data
        collected = sum(entry.state is State.COLLECTED for entry in dataset.entries())
        self._known["labels"] = collected
        if data and not collected:
            return data
        made = snapshots.make(dataset)
        self._known["snapshot"] = made.version
        left_out = "".join(f"; {what}: {count}" for what, count in made.left_out.items())
        self._say(f"{made.sounds} labelled sounds, snapshot {made.version}{left_out}")
        return (*data, snapshots.local_folder(dataset, made.version))

    def _verdict(self) -> Verdict:
        try:
            return Verdict.model_validate_json((self._folder / GATE).read_bytes())
        except (OSError, ValidationError):
            raise TrainingError("the training process ended without a verdict") from None

    def _train(self) -> bool:
        """Run the training process to its end. Returns False where it was told to stop.

        Raises:
            LeaseLostError: another trainer may have taken over.
            TrainingError: the process crashed.
            UserError: the data cannot be trained on.
        """
        command = tethered([*PROCESS, str(self._folder)])
        with (self._folder / LOG).open("w", encoding="utf-8") as errors:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
            )
        said: list[str] = []
        listener = threading.Thread(target=self._listen, args=[process.stdout, said], daemon=True)
        listener.start()
        try:
            while process.poll() is None:
                self._lease.keep()
                if self._stopping():
                    return False
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_S)
        finally:
            _end(process)
            listener.join(10)
        if process.returncode == 0:
            return True
        if process.returncode == 2 and said:
            raise UserError(said[-1].removeprefix("undertone: "))
        raise TrainingError(
            f"the training process ended with status {process.returncode}; {self._folder / LOG} has its last words"
            + (" (killed, perhaps for want of memory)" if process.returncode == -signal.SIGKILL else "")
        )

    def _listen(self, output: IO[str], said: list[str]) -> None:
        for line in output:
            said.append(line.rstrip("\n"))
            self._say(said[-1])

    def _decision(self, what: What, why: str) -> Decision:
        return Decision.model_validate(self._known | {"what": what, "why": why})


def _end(process: subprocess.Popen[str]) -> None:
    """Nothing of it stays: the processes that make features are in its session."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
