"""What the training process does: one training, the comparison with the champion, the report."""

from pathlib import Path

from trainer import train
from trainer.evaluation.cost import us_per_second
from trainer.options import TrainingOptions
from trainer.rebuild.gate import Costs, Gate
from trainer.rebuild.held_out import hear, held_out_of
from trainer.rebuild.review import review_of
from trainer.rebuild.runs import Job, Verdict
from trainer.report import page
from undertone.inference.bundle import read_bundle
from undertone.inference.model import Model

_TIMES = 5


def train_and_judge(job: Job, folder: Path, champion: bytes, progress: train.Progress) -> Verdict:
    """Train, hold candidate and champion to the same held-out files, and write bundle and report into `folder`.

    Raises:
        UserError: data that cannot be trained on, or an export that is not the trained network.
    """
    theirs = read_bundle(champion)
    options = TrainingOptions(
        job.data,
        job.name,
        job.seed,
        job.epochs,
        job.start,
        prior=job.prior,
        label_weight=job.label_weight,
        parent=theirs.card.version,
        by_name=True,
    )
    outcome = train.run(options, progress)
    bundle = outcome.final.bundle
    progress(f"Comparing {bundle.card.version} with {theirs.card.version}, the champion", 0, 0)
    held_out, paths = held_out_of(outcome)
    gate = Gate(held_out, hear(paths, Model.of(bundle)), hear(paths, Model.of(theirs)), job.bounds)
    # In turn, and the quickest of each: a neighbour that fills the processor's caches then slows both.
    taken = [(us_per_second(bundle), us_per_second(theirs)) for _ in range(_TIMES)]
    ours_us, theirs_us = (min(of_one) / 2 for of_one in zip(*taken, strict=True))
    costs = Costs(ours_us, theirs_us, bundle.card.metrics["parity"])
    checks = gate.checks(costs, accept_new_labels=job.accept_new_labels)
    progress("Looking for labels that look wrong", 0, 0)
    review = review_of(outcome, options)
    page.write(outcome, folder, [check.model_dump() for check in checks], review)
    return Verdict(version=bundle.card.version, checks=tuple(checks), to_review=review.found if review else 0)
