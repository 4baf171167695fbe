"""A worker that can take a tenth of its load holds no more for it, drops nothing, and catches up."""

from pathlib import Path
from typing import get_args

import pytest

from tests.chaos.pressure import How, squeeze


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", get_args(How))
def test_a_worker_under_pressure(how: How, tmp_path: Path) -> None:
    outcome = squeeze(how, tmp_path, streams=8, seconds=12)
    assert outcome.whole, outcome
    assert outcome.behind_chunks > 8 * 6, "it was not behind: there was no pressure"
