"""kill -9 while it publishes: bundle and aliases are there as a whole or not at all, and nothing is published twice."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.aliases import Alias
from tests.support.installation import Installation, WorkerProcess, wait_for
from tests.support.service import bundle_of
from tests.trainer.rebuild.conftest import PASSED, Label
from trainer.rebuild.runs import Runs, Verdict, What
from undertone.messaging.settings import KafkaSettings
from undertone.registry.contents import read_contents

# From the end of the training to the decision it takes some tenths of a second, more on a busy machine.
KILLED_AFTER_S = (0.0, 0.1, 0.3, 0.8)


@pytest.mark.slow
def test_a_trainer_that_is_killed_while_it_publishes_leaves_the_registry_whole(
    installation: Installation, kafka_settings: KafkaSettings, labelled_calls: Label, tmp_path: Path
) -> None:
    labelled_calls(range(4), takes=1)
    shipped, out = read_contents(kafka_settings).running, tmp_path / "out"
    made = Verdict(version="better", checks=(PASSED,)).model_dump_json()
    (tmp_path / "made.zip").write_bytes(bundle_of("better"))
    script = tmp_path / "process.py"
    script.write_text(
        "import pathlib, shutil, sys\nfolder = pathlib.Path(sys.argv[1])\n"
        f"shutil.copy({str(tmp_path / 'made.zip')!r}, folder / 'model.zip')\n"
        f"(folder / 'gate.json').write_text({made!r})\nprint('trained')\n"
    )
    program = (
        "import sys; from trainer.rebuild import rebuild; "
        f"rebuild.PROCESS = (sys.executable, {str(script)!r}); from undertone.cli.main import main; main()"
    )

    def start(name: str, until: Callable[[WorkerProcess], bool]) -> WorkerProcess:
        started = installation.worker(name, ("-c", program, "trainer", "run", "--out", str(out)), trainer_lease_s=6)
        wait_for(lambda: until(started), "a training", said=started.last_words)
        return started

    for number, after_s in enumerate(KILLED_AFTER_S):
        trainer = start(f"t{number}", lambda trainer: "trained" in trainer.output)
        time.sleep(after_s)
        trainer.kill()
        state = read_contents(kafka_settings).state
        if (champion := state.named(Alias.CHAMPION)) is not None:
            assert (champion, state.named(Alias.PREVIOUS)) == ("better", shipped)
        assert [place.version for place in state.places] == (["better"] if champion else [])
    start("last", lambda trainer: trainer.process.poll() is not None)
    decision = Runs(out).last()
    assert decision
    assert decision.what in {What.PUBLISHED, What.UNCHANGED}
    assert decision.labels == 8
    registry = read_contents(kafka_settings)
    assert registry.in_use().version == "better"
    assert registry.state.named(Alias.PREVIOUS) == shipped
    assert not registry.state.aliases[Alias.CHAMPION].history, "it has become the champion once"
