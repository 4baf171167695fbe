"""A corpus of synthetic voices on the bench, small enough to compare on."""

from tests.support.voices import utterance
from trainer.compare.bench import Bench, make_bench
from trainer.compare.cells import Protocol
from trainer.compare.features import compute
from trainer.data.corpora import Utterance

MOODS = ("frustrated", "satisfied", "puzzled")
TINY = Protocol(trials=2, network_trials=1, inner_folds=2, repeats=2, random_splits=1)


def bench_of(utterances: list[Utterance]) -> Bench:
    """Utterances of these moods on a bench, made again from their names."""
    clips = [compute(utterance(u.emotion, int(u.speaker[-1]), int(u.path.stem[-1]))) for u in utterances]
    return make_bench("calls", utterances, clips)
