"""The clips of one corpus of a dataset, as recorded or played in other ways."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.cache import cached_features
from trainer.data.clips import Clips
from trainer.data.corpora import Utterance
from trainer.data.dataset import Dataset
from trainer.evaluation.disturbed import on_bad_lines, write_with_sounds

NOISE_DB = 10.0


class CorpusClips:
    """Rows are those of this corpus, or of several, from 0 on. `groups` says whom each one counts as."""

    def __init__(self, dataset: Dataset, rows: NDArray[np.integer]) -> None:
        self.dataset, self.rows = dataset, rows
        self.utterances: list[Utterance] = [dataset.utterances[row] for row in rows]
        self.groups = np.array(dataset.groups)[rows]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def corpora(self) -> list[str]:
        """Of which corpus each one is."""
        return [one.corpus for one in self.utterances]

    def rows_of(self, groups: set[str]) -> NDArray[np.integer]:
        """Rows of some speakers."""
        return np.flatnonzero(np.isin(self.groups, sorted(groups)))

    def clips(self, variant: str) -> Clips:
        """All clips, played as the variant says."""
        return self.with_features([one.path for one in self.utterances], variant)

    def with_features(self, paths: list[Path], variant: str = "clean") -> Clips:
        """The clips with the features of these files, which are the same recordings in the same order."""
        how = self.dataset.preprocessing
        found = [one for one in cached_features(paths, how.front_end, how.gate, variant=variant)[0] if one is not None]
        return dataclasses.replace(
            self.dataset.clips(self.rows.tolist()),
            features=[one.frames.astype(np.float16) for one in found],
            level_db=[one.level_db for one in found],
            raw=[one.raw for one in found],
        )

    def conditions(self, unheard_noise: Sequence[Path], seed: int) -> dict[str, Clips]:
        """The clips to test with: "clean", "telephone", on bad lines and, where there is such noise, "noise 10 dB"."""
        found = {"clean": self.clips("clean"), "telephone": self.clips("telephone")}
        paths = [one.path for one in self.utterances]
        # The other side's echo is another clip of the corpus: the last one's is the first.
        found |= {name: self.with_features(files) for name, files in on_bad_lines(paths, paths[::-1], seed)}
        if unheard_noise:
            with tempfile.TemporaryDirectory(prefix="undertone-") as folder:
                noisy = write_with_sounds(paths, unheard_noise, NOISE_DB, seed, Path(folder))
                found[f"noise {NOISE_DB:g} dB"] = self.with_features(noisy)
        return found
