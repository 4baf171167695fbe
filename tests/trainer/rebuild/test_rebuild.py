"""One rebuild, with a training process that is not TensorFlow: what becomes of each way that it can end."""

from pathlib import Path

import pytest

from schemas.aliases import Alias
from schemas.errors import UserError
from tests.support.installation import wait_for
from tests.support.service import bundle_of
from tests.trainer.rebuild.conftest import FAILED, LABELS, PASSED, Trainer
from trainer.collection.dataset import Dataset
from trainer.data.snapshot_folders import contents
from trainer.rebuild.rebuild import Rebuild, Request
from trainer.rebuild.runs import Job, Runs, What
from undertone.inference.bundle import read_bundle
from undertone.messaging.settings import KafkaSettings
from undertone.registry import changes
from undertone.registry.contents import read_contents


def test_who_passes_is_the_champion_once(trainer: Trainer) -> None:
    before = trainer.champion
    trainer.leaves("better", PASSED)
    said: list[str] = []
    decision = trainer.rebuild(said.append)
    assert decision
    assert (decision.what, decision.champion, decision.candidate) == (What.PUBLISHED, before, "better")
    assert decision.labels == 8
    assert said[-1] == "trained"
    registry = read_contents(trainer.kafka)
    assert registry.in_use().version == "better"
    assert registry.state.named(Alias.PREVIOUS) == before
    # As if it had been killed between publishing and its decision: nothing is published twice.
    again = trainer.rebuild()
    assert again and again.what == What.UNCHANGED
    record = read_contents(trainer.kafka).state.aliases[Alias.CHAMPION]
    assert not record.history
    last = Runs(trainer.out).last()
    assert last and last.what == What.UNCHANGED
    changes.rollback(trainer.kafka, "ann")
    assert trainer.champion == before


def test_who_fails_is_refused_with_figures(trainer: Trainer) -> None:
    before = trainer.champion
    trainer.leaves("worse", FAILED, PASSED)
    decision = trainer.rebuild()
    assert decision
    assert decision.what == What.REFUSED
    assert decision.why == "UAR on what people said 0.5 (champion 0.6): 6 files of 2 speakers"
    assert decision.checks == (FAILED, PASSED)
    assert trainer.champion == before
    assert len(read_contents(trainer.kafka).entries) == 1


def test_other_emotions_wait_for_a_person(trainer: Trainer) -> None:
    before = trainer.champion
    trainer.leaves("other", PASSED, LABELS)
    decision = trainer.rebuild()
    assert decision and decision.what == What.NOMINATED
    assert (trainer.champion, trainer.challenger) == (before, "other")
    changes.promote(trainer.kafka, Alias.CHALLENGER, "ann")
    assert (trainer.champion, trainer.challenger) == ("other", None)


@pytest.mark.parametrize(
    ("code", "what", "why"),
    [
        ("print('undertone: every utterance is labelled'); sys.exit(2)", What.FAILED, "every utterance is labelled"),
        ("os.kill(os.getpid(), 9)", What.CRASHED, "want of memory"),
        ("sys.exit(1)", What.CRASHED, "status 1"),
        ("print(1)", What.CRASHED, "without a verdict"),
    ],
)
def test_a_process_that_fails_is_told_of(trainer: Trainer, code: str, what: What, why: str) -> None:
    before = trainer.champion
    trainer.does(code)
    decision = trainer.rebuild()
    assert decision
    assert decision.what == what
    assert why in decision.why
    assert trainer.champion == before


def test_what_changes_meanwhile_makes_it_outdated(trainer: Trainer) -> None:
    trainer.leaves("better", PASSED)

    def somebody_promotes(_: str) -> None:
        if trainer.champion != "theirs":
            changes.publish(read_bundle(bundle_of("theirs")), trainer.kafka)

    promoted = trainer.rebuild(somebody_promotes)
    assert promoted and promoted.what == What.OUTDATED
    assert trainer.champion == "theirs"

    def somebody_forgets(_: str) -> None:
        for manifest in trainer.out.glob("dataset/snapshots/*/manifest.csv"):
            lines = manifest.read_text().splitlines(keepends=True)
            manifest.write_text("".join(lines[:-1]))

    forgotten = trainer.rebuild(somebody_forgets)
    assert forgotten and forgotten.what == What.OUTDATED
    assert "forgotten" in forgotten.why
    assert trainer.champion == "theirs"
    # The model that knows the call can be named.
    (snapshot,) = trainer.out.glob("dataset/snapshots/*")
    assert contents([snapshot])
    assert [note.stem for note in snapshot.glob("models/*")] == ["better"]
    newest = max(trainer.out.glob("runs/*"))
    assert {path.name for path in newest.iterdir()} == {"job.json", "champion.zip", "decision.json"}


def test_a_stop_ends_the_training_and_the_next_run_clears_up(trainer: Trainer) -> None:
    trainer.does("import time\n(folder / 'pid').write_text(str(os.getpid())); time.sleep(600)")

    def pid() -> int:
        return next((int(text) for file in trainer.out.glob("runs/*/pid") if (text := file.read_text())), 0)

    assert trainer.rebuild(stopping=lambda: pid() > 0) is None
    wait_for(lambda: not Path(f"/proc/{pid()}").exists(), "its end")
    trainer.leaves("better", PASSED)
    decision = trainer.rebuild()
    assert decision and decision.what == What.PUBLISHED
    assert len(list(trainer.out.glob("runs/*"))) == 1


def test_no_label_at_all_is_one_line(kafka_settings: KafkaSettings, topics: object, tmp_path: Path) -> None:
    dataset = Dataset.open(str(tmp_path / "dataset"))
    dataset.create()
    done = Rebuild(kafka_settings, Request(tmp_path, Job(data=()), dataset, 30), lambda _: None, lambda: False).run()
    assert done
    assert done[1].what == What.FAILED
    assert "no label to learn from" in done[1].why


def test_a_folder_that_cannot_be_written_is_one_line(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        Runs(tmp_path / "out")
