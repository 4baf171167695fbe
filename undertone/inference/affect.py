"""From probabilities of emotions to what people want fewer numbers of: a group, arousal and valence."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from schemas.card import ModelCard, Place

# Where a card says nothing: as far as the model has these labels.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "negative": ("angry", "disgust", "fearful", "sad"),
    "neutral": ("neutral", "calm"),
    "positive": ("happy", "surprised"),
}


def _on_circle(degrees: float) -> Place:
    """On the circle of radius 1: pleasure lies at 0 degrees, arousal at 90, displeasure at 180, sleepiness at 270."""
    angle = np.deg2rad(degrees)
    return Place(valence=round(float(np.cos(angle)), 3), arousal=round(float(np.sin(angle)), 3))


# On Russell's circle (1980, "A circumplex model of affect"): each label at the nearest of his eight directions, 45
# degrees apart (pleasure, excitement, arousal, distress, displeasure, depression, sleepiness, relaxation), or halfway
# between two. A voice that says nothing stands in the middle.
CIRCUMPLEX: Mapping[str, Place] = {
    "satisfied": _on_circle(0),
    "happy": _on_circle(22.5),
    "excited": _on_circle(45),
    "surprised": _on_circle(67.5),
    "fearful": _on_circle(112.5),
    "angry": _on_circle(135),
    "frustrated": _on_circle(157.5),
    "disgust": _on_circle(157.5),
    "sad": _on_circle(202.5),
    "bored": _on_circle(247.5),
    "calm": _on_circle(315),
    "neutral": Place(valence=0, arousal=0),
}


def groups_of(labels: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The default groups as far as a model has their labels; those that it has none of are left out."""
    known = {group: tuple(label for label in members if label in labels) for group, members in GROUPS.items()}
    return {group: members for group, members in known.items() if members}


def places_of(labels: tuple[str, ...]) -> dict[str, Place]:
    """The default places of a model's labels, as far as there are any."""
    return {label: CIRCUMPLEX[label] for label in labels if label in CIRCUMPLEX}


class Affect:
    """Groups and places of one model card, as matrices."""

    def __init__(self, card: ModelCard) -> None:
        groups = groups_of(card.labels) if card.groups is None else card.groups
        places = places_of(card.labels) if card.affect is None else card.affect
        self.names = tuple(groups)
        members = [[label in members for label in card.labels] for members in groups.values()]
        self._members = np.array(members, float).reshape(len(groups), len(card.labels))
        # A label without a place would count as the middle, which is a place.
        self._places: NDArray[np.float64] | None = None
        if set(places) == set(card.labels):
            self._places = np.array([(places[label].arousal, places[label].valence) for label in card.labels])

    @property
    def has_places(self) -> bool:
        """Whether every label has a place, so that there is an arousal."""
        return self._places is not None

    # Both take a product for each row of its own, of one shape: its bits do not depend on how many rows there are.

    def groups(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probability of each of `names`, [n, groups], by probabilities [n, labels]."""
        return np.matmul(self._members, probabilities[:, :, None])[:, :, 0]

    def arousal_valence(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """The mean places [n, 2] of the labels by probabilities [n, labels], each -1 to 1.

        None where a label has no place.
        """
        if self._places is None:
            return None
        return np.matmul(probabilities[:, None, :], self._places)[:, 0]
