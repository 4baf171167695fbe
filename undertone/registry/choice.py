"""One model, as people name it: a file, a version, an alias, or nothing for the one that ships."""

from dataclasses import dataclass
from pathlib import Path

from schemas.card import ModelCard
from schemas.errors import UserError
from undertone.inference.bundle import DEFAULT_BUNDLE, located, read_bundle
from undertone.messaging.settings import KafkaSettings
from undertone.registry.contents import Contents, Entry, read_contents


@dataclass(frozen=True, slots=True)
class Choice:
    """A model's card, and where it stands in the registry if it was found there."""

    card: ModelCard
    contents: Contents | None = None
    entry: Entry | None = None


def chosen(name: str | None, settings: KafkaSettings) -> Choice:
    """The model that `name` stands for. Kafka is asked only where it is no file.

    Raises:
        UserError: no such file, version or alias, or its bundle cannot be read.
    """
    path = located(Path(name)) if name else DEFAULT_BUNDLE
    if name is None or path.suffix == ".zip" or "/" in name or path.is_file():
        return Choice(read_bundle(path).card)
    contents = read_contents(settings)
    entry = contents.find(name)
    if entry.card is None:
        raise UserError(f"{entry.version}: {entry.fault}")
    return Choice(entry.card, contents, entry)
