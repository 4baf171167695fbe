"""Splits by speaker: nobody is in training and in the test.

Speakers who share a recording (a file that two corpora, or two folders, both hold) count as one, so a recording never
lies in two parts either. `random_split` exists for one purpose: to show what a split that ignores speakers hides.
"""

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.errors import UserError
from trainer.data.corpora import Utterance
from trainer.data.layouts import ravdess

# What a model card says of a corpus whose speakers `by_name` has kept out of training.
BY_NAME = "a fifth of the speakers, by name"


@dataclass(frozen=True, slots=True)
class Split:
    """Indices into the utterances that were split. `valid` chooses the epoch and the temperature; `test` nothing."""

    train: tuple[int, ...]
    valid: tuple[int, ...]
    test: tuple[int, ...]


def speaker_groups(speakers: Sequence[str], recordings: Sequence[str]) -> list[str]:
    """For each utterance the name of its group: its speaker, or the first of the speakers that share recordings.

    Args:
        speakers: corpus-qualified speaker of each utterance.
        recordings: hash of each utterance's samples.
    """
    leader = {speaker: speaker for speaker in speakers}

    def find(speaker: str) -> str:
        while leader[speaker] != speaker:
            speaker = leader[speaker]
        return speaker

    first: dict[str, str] = {}
    for speaker, recording in zip(speakers, recordings, strict=True):
        one, other = find(first.setdefault(recording, speaker)), find(speaker)
        leader[max(one, other)] = min(one, other)
    return [find(speaker) for speaker in speakers]


def by_speaker(utterances: Sequence[Utterance], groups: Sequence[str], seed: int = 0) -> Split:
    """A fifth of each corpus's speakers for the test, a seventh of the rest for validation.

    Corpora of few speakers give none: those with fewer than four only train, where another corpus has more. With two
    speakers in all, one trains and one tests, and nobody is left to validate on.
    """
    test = _share(utterances, groups, set(groups), 5, seed)
    rest = set(groups) - test
    valid = _share(utterances, groups, rest, 7, seed + 1) if len(rest) > 1 else set()
    return _split(groups, valid, test)


def by_name(utterances: Sequence[Utterance], groups: Sequence[str]) -> Split:
    """A fifth of each corpus's speakers for the test and a seventh of the rest for validation, by their names' hash.

    Who tests once tests again when other speakers have come, so a model of before has not been trained on them either.
    Where by chance nobody would test an emotion, one who has it does; its last speaker is always trained on. Corpora of
    fewer than four speakers only train.

    Raises:
        UserError: nobody is left to test on.
    """
    corpora: dict[str, set[str]] = defaultdict(set)
    emotions: dict[str, set[tuple[str, str]]] = defaultdict(set)  # of each group, with the corpus that says so
    for group, utterance in zip(groups, utterances, strict=True):
        corpora[utterance.corpus].add(group)
        emotions[group].add((utterance.corpus, utterance.emotion))
    only_train = {group for of in corpora.values() if len(of) < 4 for group in of}
    test = _drawn(set(groups) - only_train, emotions, "test", 5, 2)
    if not test:
        raise UserError("four speakers or calls with labels are the fewest of which some can be kept for the test")
    valid = _drawn(set(groups) - test - only_train, emotions, "valid", 7, 4)
    return _split(groups, valid, test)


def with_test_speakers(
    utterances: Sequence[Utterance], groups: Sequence[str], names: Iterable[str], seed: int = 0
) -> Split:
    """The named speakers test (`ravdess/03`, or `03` in any corpus, or a whole corpus as `ravdess/*`).

    Raises:
        UserError: a name that fits nobody, or nobody left to train on.
    """
    chosen: set[str] = set()
    for name in names:
        fits = {
            group
            for group, utterance in zip(groups, utterances, strict=True)
            if name in (utterance.speaker, utterance.speaker.partition("/")[2], f"{utterance.corpus}/*")
        }
        if not fits:
            known = sorted({utterance.speaker for utterance in utterances})
            some = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
            raise UserError(f"no speaker {name!r} in the data; there are {some}")
        chosen |= fits
    rest = set(groups) - chosen
    if not rest:
        raise UserError("the test speakers are all speakers there are: nobody is left to train on")
    valid = _share(utterances, groups, rest, 7, seed + 1) if len(rest) > 1 else set()
    return _split(groups, valid, chosen)


def folds(utterances: Sequence[Utterance], groups: Sequence[str], count: int, seed: int = 0) -> list[Split]:
    """`count` splits; every speaker tests in exactly one. Validation speakers come from the next fold.

    RAVDESS's speakers go to their published folds where `count` is 4 or 5, so that figures can be compared.

    Raises:
        UserError: fewer speakers than folds, or fewer than three folds.
    """
    if count < 3:
        raise UserError(f"--folds {count}: at least 3, for training, validation and test")
    if len(set(groups)) < count:
        raise UserError(f"--folds {count}: the data have {len(set(groups))} speakers; ask for fewer folds")
    fold_of = _fold_of(utterances, groups, count, seed)
    parts = [{group for group, fold in fold_of.items() if fold == k} for k in range(count)]
    return [
        _split(groups, _share(utterances, groups, parts[(k + 1) % count], 2, seed), parts[k])
        for k in range(count)
        if parts[k]
    ]


def random_split(count: int, seed: int = 0) -> Split:
    """80/20 over utterances, whoever speaks. Its figures are too high; it is here to show by how much."""
    order = list(range(count))
    random.Random(seed).shuffle(order)  # noqa: S311 - a split, not a secret
    test, valid = count // 5, count // 10
    return Split(
        tuple(sorted(order[test + valid :])), tuple(sorted(order[test : test + valid])), tuple(sorted(order[:test]))
    )


def _drawn(among: set[str], emotions: dict[str, set[tuple[str, str]]], part: str, one_in: int, fewest: int) -> set[str]:
    """The groups of `among` that go to a part: those whose hash says so, and who makes up for what would be missing.

    Args:
        fewest: an emotion that so many have is to be in the part. The last one who has it never goes there.
    """
    having: dict[tuple[str, str], list[str]] = defaultdict(list)
    place = {group: int.from_bytes(hashlib.sha256(f"{part} {group}".encode()).digest()[:8]) / 2**64 for group in among}
    for group in sorted(among, key=place.__getitem__):
        for emotion in emotions[group]:
            having[emotion].append(group)
    needed = {of[0] for of in having.values() if len(of) == 1}
    drawn = {group for group in among - needed if place[group] < 1 / one_in}
    for of in having.values():
        free = [group for group in of if group not in needed]
        if len(of) >= fewest and free and not drawn.intersection(of):
            drawn.add(free[0])
    for of in having.values():
        if drawn.issuperset(of):
            drawn.discard(of[-1])
    return drawn


def _fold_of(utterances: Sequence[Utterance], groups: Sequence[str], count: int, seed: int) -> dict[str, int]:
    published = {f"ravdess/{actor}": k for k, actors in enumerate(ravdess.FOLDS) for actor in actors}
    present = sorted({published[group] for group in groups if group in published})
    fold_of = {}
    if len(present) == count:
        fold_of = {group: present.index(published[group]) for group in groups if group in published}
    sizes = Counter(fold_of.values())
    for speakers in _by_corpus(utterances, groups, set(groups) - set(fold_of), seed).values():
        for speaker in speakers:
            fold = min(range(count), key=lambda k: (sizes[k], k))
            fold_of[speaker] = fold
            sizes[fold] += 1
    return fold_of


def _share(utterances: Sequence[Utterance], groups: Sequence[str], among: set[str], one_in: int, seed: int) -> set[str]:
    """One in `one_in` of each corpus's speakers, at least one from the corpora that can spare it."""
    by_corpus = _by_corpus(utterances, groups, among, seed)
    able = {corpus: speakers for corpus, speakers in by_corpus.items() if len(speakers) > 3}
    if not able:
        largest = max(by_corpus.values(), key=len)
        able = {"": largest}
    # Two where that leaves enough: a man and a woman, as `_in_turn` has sorted them.
    counts = {corpus: max(2 if len(of) >= 6 else 1, round(len(of) / one_in)) for corpus, of in able.items()}
    return {speaker for corpus, speakers in able.items() for speaker in speakers[: counts[corpus]]}


def _by_corpus(
    utterances: Sequence[Utterance], groups: Sequence[str], among: set[str], seed: int
) -> dict[str, list[str]]:
    """Groups of each corpus, shuffled, then women and men in turn, so that each part has both."""
    gender = {group: utterance.gender for group, utterance in zip(groups, utterances, strict=True)}
    corpora: dict[str, set[str]] = defaultdict(set)
    for group, utterance in zip(groups, utterances, strict=True):
        if group in among:
            corpora[group.partition("/")[0] or utterance.corpus].add(group)
    return {corpus: _in_turn(sorted(corpora[corpus]), gender, seed) for corpus in sorted(corpora)}


def _in_turn(speakers: list[str], gender: dict[str, str], seed: int) -> list[str]:
    random.Random(seed).shuffle(speakers)  # noqa: S311 - a split, not a secret
    seen: Counter[str] = Counter()
    rank = {}
    for speaker in speakers:
        rank[speaker] = seen[gender[speaker]]
        seen[gender[speaker]] += 1
    return sorted(speakers, key=lambda speaker: rank[speaker])


def _split(groups: Sequence[str], valid: set[str], test: set[str]) -> Split:
    parts: dict[str, list[int]] = {"train": [], "valid": [], "test": []}
    for index, group in enumerate(groups):
        parts["test" if group in test else "valid" if group in valid else "train"].append(index)
    return Split(**{name: tuple(indices) for name, indices in parts.items()})
