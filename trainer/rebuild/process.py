"""The training process: trains, compares with the champion, and leaves bundle, report and the gate's checks behind.

    python -m trainer.rebuild.process FOLDER

It is a process of its own, so that its memory comes back when it ends and a crash of TensorFlow is an exit status. It
knows nothing of Kafka: who has started it publishes.
"""

import os
import sys
from pathlib import Path

from schemas.errors import UserError
from trainer.quiet import quiet
from trainer.rebuild.runs import CHAMPION, GATE, JOB, Job, write_whole


def main() -> None:
    """Do the job of a run's folder. Exits with 2 and one line where its data cannot be trained on."""
    folder = Path(sys.argv[1])
    job = Job.model_validate_json((folder / JOB).read_bytes())
    os.nice(job.nice)
    with quiet():
        from trainer.rebuild.training import train_and_judge  # noqa: PLC0415  TensorFlow, as late as may be
    try:
        write_whole(folder / GATE, train_and_judge(job, folder, (folder / CHAMPION).read_bytes(), _say))
    except UserError as error:
        sys.stdout.write(f"undertone: {error}\n")
        sys.exit(2)


def _say(what: str, done: int, total: int) -> None:
    """A line for each stage and epoch, not for each of thousands of files."""
    if not total or done == total or what.startswith("Training"):
        sys.stdout.write(f"{what} ({done}/{total})\n" if total else f"{what}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
