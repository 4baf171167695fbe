"""One corpus and its bench for each file, and a cache of its own."""

from pathlib import Path

import pytest

from tests.support.voices import write_corpus
from tests.trainer.compare.small_bench import MOODS, bench_of
from trainer.compare.bench import Bench
from trainer.data.corpora import load


@pytest.fixture(scope="module", autouse=True)
def _with_own_cache(own_cache: None) -> None:
    """Features of these corpora are of no use to anybody else."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three moods, four speakers."""
    return write_corpus(tmp_path_factory.mktemp("corpus"), MOODS, range(4), 3)


@pytest.fixture(scope="module")
def bench(corpus: Path) -> Bench:
    """The corpus on the bench, without worker processes."""
    return bench_of(load([corpus]).utterances)
