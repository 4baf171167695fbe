"""A network's weights as a file that training can start from: an .npz without pickle, beside its bundle.

Workers never need it, so it is no part of the bundle that goes through Kafka.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from schemas.card import ModelCard
from schemas.errors import UserError
from trainer.training.network import NetworkShape
from undertone.inference.bundle import DEFAULT_BUNDLE, located, read_bundle

MAX_BYTES = 16 * 1024 * 1024  # 300,000 parameters are 1.2 MB
_SPEC, _VERSION = "network_spec", "model_version"


@dataclass(frozen=True, slots=True)
class Start:
    """What a training run starts from: the weights by name, the network's shape, and the card they belong to."""

    weights: dict[str, NDArray[np.float32]]
    shape: NetworkShape
    card: ModelCard

    def for_labels(self, labels: Sequence[str]) -> tuple[dict[str, NDArray[np.float32]], NetworkShape]:
        """The weights for a network with other labels: of the head, those labels that both have are kept.

        New labels start from zero, which for the last layer is as good as chance.
        """
        weights = dict(self.weights)
        for name in [one for one in self.weights if one.endswith(("head/kernel", "head/bias"))]:
            old = self.weights[name]
            new = np.zeros((*old.shape[:-1], len(labels)), np.float32)
            for k, label in enumerate(labels):
                if label in self.card.labels:
                    new[..., k] = old[..., self.card.labels.index(label)]
            weights[name] = new
        return weights, self.shape.model_copy(update={"n_classes": len(labels)})


def weights_path(bundle: Path) -> Path:
    """Where the weights of a bundle lie: `model.zip` -> `model.weights.npz`."""
    return bundle.with_name(f"{bundle.stem}.weights.npz")


def save_weights(bundle: Path, weights: dict[str, NDArray[np.float32]], shape: NetworkShape, version: str) -> Path:
    """Write the weights beside their bundle and name its version in them."""
    path = weights_path(bundle)
    extra = {_SPEC: np.array(shape.model_dump_json()), _VERSION: np.array(version)}
    np.savez_compressed(path, allow_pickle=False, **weights, **extra)
    return path


def load_start(bundle: Path = DEFAULT_BUNDLE) -> Start:
    """The weights of a bundle, to start training from.

    Raises:
        UserError: the bundle or its weights are missing, damaged, too large, or not of one another.
    """
    card = read_bundle(bundle).card
    path = weights_path(located(bundle))
    if not path.is_file():
        raise UserError(f"{path}: the weights of {bundle.name} are not beside it; get them, or use --from none")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise UserError(f"{path}: {size} bytes of weights, more than {MAX_BYTES}")
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        shape = NetworkShape.model_validate_json(str(found.pop(_SPEC)))
        version = str(found.pop(_VERSION))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, ValidationError) as error:
        raise UserError(f"{path}: not a file of weights ({type(error).__name__})") from None
    if version != card.version:
        raise UserError(f"{path}: holds the weights of {version}, but the bundle is {card.version}")
    return Start(found, shape, card)
