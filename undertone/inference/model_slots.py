"""The models that rows refer to: a row names its model by a small number, its slot."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from undertone.inference.model import Model


class ModelSlots:
    """Models by slot. New segments take the current one; others stay as long as a stream needs them."""

    def __init__(self, model: Model) -> None:
        self._models: list[Model | None] = [model]
        self.current_slot = 0

    @property
    def current(self) -> Model:
        """The model that new segments take."""
        return self[self.current_slot]

    @property
    def versions(self) -> set[str]:
        """Versions of all models that are kept."""
        return {model.card.version for model in self._models if model}

    def __getitem__(self, slot: int) -> Model:
        model = self._models[slot]
        if model is None:
            raise LookupError(f"model slot {slot} was given up while a stream used it")
        return model

    def slot_of(self, version: str) -> int | None:
        """Where a version is kept, or None."""
        if self.current.card.version == version:
            return self.current_slot
        return next((slot for slot, model in enumerate(self._models) if model and model.card.version == version), None)

    def add(self, model: Model) -> None:
        """Keep a model that is not the current one."""
        self._models.append(model)

    @contextmanager
    def using(self, version: str) -> Iterator[None]:
        """Have a version that is kept be the current one for a while."""
        current, slot = self.current_slot, self.slot_of(version)
        if slot is None:
            raise LookupError(f"model {version} is not kept")
        self.current_slot = slot
        try:
            yield
        finally:
            self.current_slot = current

    def switch(self, model: Model, needed: Collection[str]) -> None:
        """Make a model the current one, and give up those whose versions are not `needed`."""
        self._models = [old if old and old.card.version in needed else None for old in self._models]
        self.current_slot = len(self._models)
        self._models.append(model)
