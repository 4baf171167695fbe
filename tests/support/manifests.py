"""Manifests of the samples, as `evaluate` takes them."""

import shutil
from pathlib import Path

from tests.support.paths import SAMPLES


def manifest(folder: Path, *rows: str, columns: str = "path,emotion,speaker,call,order") -> Path:
    """A CSV of `rows` in `folder`, beside the samples that they name."""
    for name in ("angry.flac", "calm.flac", "phone.wav", "call.flac"):
        shutil.copy(SAMPLES / name, folder)
    file = folder / "calls.csv"
    file.write_text("\n".join([columns, *rows]) + "\n")
    return file
