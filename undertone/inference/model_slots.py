"""The models that rows refer to: a row names its model by a small number, its slot."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from undertone.inference.model import Model
from undertone.inference.routing import Route


class ModelSlots:
    """Models by slot. New segments take the current one, or the canary's by lot; others stay as long as needed."""

    def __init__(self, model: Model) -> None:
        self._models: list[Model | None] = [model]
        self._current, self._canary, self._share = 0, 0, 0.0

    @property
    def route(self) -> Route:
        """Which model new segments take."""
        if not self._share:
            return Route(self[self._current])
        return Route(self[self._current], self[self._canary], self._share)

    @property
    def current(self) -> Model:
        """The model that new segments take, but for a canary's."""
        return self[self._current]

    @property
    def versions(self) -> set[str]:
        """Versions of all models that are kept."""
        return {model.card.version for model in self._models if model}

    def __getitem__(self, slot: int) -> Model:
        model = self._models[slot]
        if model is None:
            raise LookupError(f"model slot {slot} was given up while a stream used it")
        return model

    def slots_by(self, lots: NDArray[np.float64]) -> NDArray[np.int32]:
        """The slots that calls with these lots take for their next segments."""
        return np.where(lots < self._share, self._canary, self._current).astype(np.int32)

    def slot_by(self, lot: float) -> int:
        """The same for one."""
        return self._canary if lot < self._share else self._current

    def slot_of(self, version: str) -> int | None:
        """Where a version is kept, or None: first of all as one that new segments take."""
        slots = [self._current, self._canary, *range(len(self._models))]
        kept = ((slot, self._models[slot]) for slot in slots)
        return next((slot for slot, model in kept if model and model.card.version == version), None)

    def add(self, model: Model) -> None:
        """Keep a model that no new segment takes."""
        self._models.append(model)

    @contextmanager
    def using(self, route: Route) -> Iterator[None]:
        """Have new segments take models by another route for a while; its versions are kept."""
        before = self._current, self._canary, self._share
        slots = [self.slot_of(model.card.version) for model in (route.model, route.canary or route.model)]
        if None in slots:
            raise LookupError(f"model {route.model.card.version} is not kept, or its canary")
        self._current, self._canary, self._share = slots[0] or 0, slots[1] or 0, route.share
        try:
            yield
        finally:
            self._current, self._canary, self._share = before

    def switch(self, route: Route, needed: Collection[str]) -> None:
        """Have new segments take models by this route, and give up those whose versions are not `needed`.

        One that is kept and still is wanted has its slot: to its streams nothing has changed. It need not be the same
        object, for after a restart it is none.
        """
        asked = [route.model, route.canary or route.model]
        cards = [model.card for model in asked]
        self._models = [
            old if old and (old.card.version in needed or old.card in cards) else None for old in self._models
        ]
        self._current, self._canary = (self._place(model) for model in asked)
        self._share = route.share

    def _place(self, model: Model) -> int:
        for slot, kept in enumerate(self._models):
            if kept and kept.card == model.card:
                self._models[slot] = model
                return slot
        self._models.append(model)
        return len(self._models) - 1


def distinct(slots: NDArray[np.int32]) -> Sequence[int]:
    """The slots among `slots`: mostly there is one, and a round asks ten times."""
    if slots.size and (slots == slots[0]).all():
        return [int(slots[0])]
    found: list[int] = np.unique(slots).tolist()
    return found
