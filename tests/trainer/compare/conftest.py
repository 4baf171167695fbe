"""One corpus and its bench for each file, and a cache of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.voices import write_corpus
from tests.trainer.compare.small_bench import MOODS, bench_of
from trainer.compare.bench import Bench
from trainer.data.corpora import load


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNDERTONE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three moods, four speakers."""
    return write_corpus(tmp_path_factory.mktemp("corpus"), MOODS, range(4), 3)


@pytest.fixture(scope="module")
def bench(corpus: Path) -> Bench:
    """The corpus on the bench, without worker processes."""
    return bench_of(load([corpus]).utterances)
