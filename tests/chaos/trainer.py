"""The trainer of a disturbed run: `undertone trainer`, but for its training process, which is this file's, too.

python -m tests.chaos.trainer OPTIONS    the service
python -m tests.chaos.trainer FOLDER     its training process: some seconds, and a model that passes the gate

TensorFlow would need minutes, and nothing that is disturbed here depends on what it does.
"""

import sys
import time
from pathlib import Path

from tests.chaos.models import bundle_named, following
from trainer.rebuild import rebuild
from trainer.rebuild.checks import Check
from trainer.rebuild.runs import CHAMPION, GATE, JOB, Job, Verdict, write_whole
from trainer.report.files import BUNDLE
from undertone.cli.main import main
from undertone.inference.bundle import read_bundle

# As long as some faults last, so that it is killed in the middle of it, too.
_TRAINS_S = 4.0


def train(folder: Path) -> None:
    """Leave a model that takes the champion's place; the same data and champion make the same version."""
    job = Job.model_validate_json((folder / JOB).read_bytes())
    version = following(read_bundle(folder / CHAMPION).card.version, of=job.data[-1].name)
    time.sleep(_TRAINS_S)
    (folder / BUNDLE).write_bytes(bundle_named(version))
    passed = Check(name="people", about="UAR on what people said", passed=True, why="", candidate=0.8, champion=0.6)
    write_whole(folder / GATE, Verdict(version=version, checks=(passed,)))


if __name__ == "__main__":
    if sys.argv[1].startswith("--"):
        rebuild.PROCESS = (sys.executable, "-m", "tests.chaos.trainer")
        sys.argv.insert(1, "trainer")
        main()
    else:
        train(Path(sys.argv[1]))
