"""The corpora that people train on, one file for each published layout.

A file is recognised by its own name, so any folder, or several corpora under one folder, can be read. To add a corpus,
write its file beside these and name it in `LAYOUTS`.
"""

from pathlib import Path

from trainer.data.layouts import aesdd, crema_d, emodb, emovo, nemo, ravdess, savee, tess
from trainer.data.layouts.layout import FileLabels, Layout

LAYOUTS = tuple(module.LAYOUT for module in (ravdess, crema_d, tess, savee, emodb, nemo, emovo, aesdd))
BY_NAME = {layout.name: layout for layout in LAYOUTS}
UNKNOWN_LICENCE = "not stated"


def recognise(path: Path) -> tuple[Layout, FileLabels | None] | None:
    """The corpus that a file belongs to by its name, and what the name says; None for a file of no known corpus."""
    name = f"{path.parent.name}/{path.stem}"
    for layout in LAYOUTS:
        if match := layout.pattern.fullmatch(name):
            return layout, layout.read(match.groupdict(), path)
    return None
