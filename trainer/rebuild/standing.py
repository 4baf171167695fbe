"""How the champion does on what people have said since it was made: of that it has learnt nothing."""

import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from schemas.card import ModelCard
from trainer.collection.dataset import Dataset, audio_path
from trainer.collection.resolution import Resolved, resolve
from undertone.analysis.metrics import confusion_matrix, ece, uar
from undertone.analysis.prediction import predict_files
from undertone.inference.class_prior import UNIFORM
from undertone.inference.model import Model

log = logging.getLogger(__name__)

# The newest that count. A month of a diligent team; each takes some milliseconds.
MOST = 500
# As in the gate: of fewer files nobody can tell.
FEWEST = 8
_LOOK_S = 600.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one version on the newest labels, each emotion expected as often; NaN where they are too few."""

    version: str
    labels: int
    uar: float
    ece: float


class Standing:
    """Looks every ten minutes, and only where labels have come or the champion is another."""

    def __init__(self, dataset: Dataset, champion: Callable[[], bytes], tell: Callable[[Figures], None]) -> None:
        """`champion` gives the bundle that workers run."""
        self._dataset, self._champion, self._tell = dataset, champion, tell
        self._not_before, self._seen = 0.0, (-1, b"")

    def look(self, labels: int) -> None:
        """Tell how it stands, if it is time.

        Args:
            labels: how many have come so far: it need not be read again what has been.

        Raises:
            UserError, KafkaError, StoreAway: one of them does not answer; it is tried again in ten minutes.
        """
        if time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + _LOOK_S
        bundle = self._champion()
        if (labels, bundle) == self._seen:
            return
        self._tell(figures_of(Model.load(bundle), self._dataset))
        self._seen = labels, bundle


def figures_of(model: Model, dataset: Dataset) -> Figures:
    """One model on the newest labels of its own emotions that came after it was made."""
    rows = [row for row in resolve(dataset.entries()).rows if _counts(row, model.card)]
    rows = sorted(rows, key=lambda row: row.entry.received)[-MOST:]
    truth = np.array([model.card.labels.index(row.emotion) for row in rows], np.intp)
    heard, probabilities = _predicted(rows, model, dataset)
    truth = truth[heard]
    if len(truth) < FEWEST or len(set(truth.tolist())) < 2:
        return Figures(model.card.version, len(truth), float("nan"), float("nan"))
    matrix = confusion_matrix(truth, probabilities.argmax(axis=1), len(model.card.labels))
    return Figures(model.card.version, len(truth), uar(matrix), ece(truth, probabilities))


def _counts(row: Resolved, card: ModelCard) -> bool:
    return row.emotion in card.labels and row.entry.received > card.created


def _predicted(rows: Sequence[Resolved], model: Model, dataset: Dataset) -> tuple[list[int], np.ndarray]:
    """Which rows speech was found in, and their probabilities [n, labels]."""
    with tempfile.TemporaryDirectory(prefix="undertone-") as folder:
        paths = []
        for number, row in enumerate(rows):
            paths.append(Path(folder) / f"{number}.wav")
            paths[-1].write_bytes(dataset.store.read(audio_path(row.entry)))
        found = dict(predict_files(paths, model.with_prior(UNIFORM)))
    finals = {number: getattr(found[number], "final", None) for number in range(len(rows))}
    heard = [number for number, final in finals.items() if final is not None]
    return heard, np.array([finals[number] for number in heard]).reshape(len(heard), len(model.card.labels))
