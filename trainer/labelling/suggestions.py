"""Which utterances to label next: those that a model learns most from."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass

from trainer.labelling.heard import Sound, Utterance, labelled, utterances
from undertone.messaging.settings import KafkaSettings

# A call has one caller and one line: many of its utterances tell little more than a few.
_MOST_OF_A_CALL = 3


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An utterance, why it is worth a label, and how much."""

    utterance: Utterance
    why: str
    score: float


def suggested(settings: KafkaSettings, count: int) -> list[Suggestion]:
    """At most `count` of what Kafka tells of now.

    Raises:
        UserError: no Kafka, or no such topics.
    """
    with closing(Sound(settings)) as sound:
        return suggest(utterances(settings), labelled(settings), sound.is_kept, count)


def suggest(
    heard: Iterable[Utterance], done: set[tuple[str, int | None]], is_kept: Callable[[Utterance], bool], count: int
) -> list[Suggestion]:
    """At most `count`, the most telling first: where the model wavers between two, or says what it rarely says.

    The score adds how near the second most probable emotion comes to the first, 0 to 1, and half of how rare the
    first is. What is labelled, and what can no longer be listened to, is left out.
    """
    all_heard = list(heard)
    said = Counter(_first(one) for one in all_heard)
    found = [_judged(one, said) for one in all_heard if not _is_labelled(one, done) and is_kept(one)]
    found.sort(key=lambda one: (-one.score, one.utterance.id))
    of_call: Counter[str] = Counter()
    chosen = []
    for one in found:
        call = one.utterance.said.call_id
        if of_call[call] < _MOST_OF_A_CALL:
            chosen.append(one)
            of_call[call] += 1
    return chosen[:count]


def _judged(utterance: Utterance, said: Counter[str]) -> Suggestion:
    first, second, *_ = sorted(utterance.said.probabilities.items(), key=lambda pair: -pair[1])
    nearness, share = 1 - (first[1] - second[1]), said[first[0]] / said.total()
    why = f"{first[0]} {first[1]:.2f}, {second[0]} {second[1]:.2f}"
    if share < 0.5 / len(utterance.said.probabilities):
        why += f"; {first[0]} is rare ({share:.1%})"
    return Suggestion(utterance, why, nearness + 0.5 * (1 - share))


def _first(utterance: Utterance) -> str:
    return max(utterance.said.probabilities, key=utterance.said.probabilities.__getitem__)


def _is_labelled(utterance: Utterance, done: set[tuple[str, int | None]]) -> bool:
    return (utterance.id, None) in done or (utterance.stream, utterance.said.start_sample) in done
