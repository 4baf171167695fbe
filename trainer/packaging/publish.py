"""Giving a bundle to running workers: only if it beats the model that they run."""

from collections.abc import Callable
from dataclasses import dataclass

from undertone.inference.bundle import Bundle
from undertone.inference.model import Model
from undertone.messaging.settings import KafkaSettings
from undertone.registry.contents import read_contents


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a candidate may go out, and one line that says why."""

    publish: bool
    why: str


def running_model(settings: KafkaSettings) -> Model:
    """What workers run: the champion, else the newest usable model of the `models` topic, else the one that ships.

    Raises:
        UserError: no Kafka, or no such topic.
    """
    return Model.load(read_contents(settings).in_use().value)


def decide(candidate: Bundle, uar: float, running: Model, evaluate: Callable[[Model], float]) -> Decision:
    """Compare the new model with the running one on the speakers that the new one was not trained on.

    The running one may have been: then the comparison favours it, which is the safe side.

    Args:
        uar: the new model's, on those speakers.
        evaluate: gives another model's UAR on the same files; called only where the two know the same emotions.
    """
    version = running.card.version
    if set(running.card.labels) != set(candidate.card.labels):
        return Decision(True, f"{version} knows other emotions, so the two cannot be compared")
    theirs = evaluate(running)
    return Decision(uar > theirs, f"UAR {uar:.3f} on the held-out speakers, {version} has {theirs:.3f}")
