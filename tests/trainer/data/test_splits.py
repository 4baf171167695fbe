"""Nobody is heard in training and in the test, whatever the data look like."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import UserError
from trainer.data.corpora import Utterance
from trainer.data.layouts import ravdess
from trainer.data.splits import Split, by_name, by_speaker, folds, random_split, speaker_groups, with_test_speakers


def files(corpora: dict[str, int], takes: int = 3) -> list[Utterance]:
    """`takes` files of each of so many speakers of each corpus."""
    return [
        Utterance(Path(f"{corpus}-{speaker}-{take}"), "calm", f"{corpus}/{speaker:02}", corpus, "mf"[speaker % 2])
        for corpus, speakers in corpora.items()
        for speaker in range(1, speakers + 1)
        for take in range(takes)
    ]


def who(utterances: list[Utterance], rows: tuple[int, ...]) -> set[str]:
    return {utterances[row].speaker for row in rows}


def assert_speaker_independent(utterances: list[Utterance], split: Split) -> None:
    parts = [who(utterances, rows) for rows in (split.train, split.valid, split.test)]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert sorted((*split.train, *split.valid, *split.test)) == list(range(len(utterances)))


sizes = st.dictionaries(st.sampled_from(["ravdess", "emodb", "own", "nemo"]), st.integers(1, 25), min_size=1).filter(
    lambda corpora: sum(corpora.values()) >= 2
)


@given(sizes, st.integers(0, 5))
def test_no_speaker_is_in_two_parts(corpora: dict[str, int], seed: int) -> None:
    utterances = files(corpora)
    split = by_speaker(utterances, [u.speaker for u in utterances], seed)
    assert_speaker_independent(utterances, split)
    assert split.train
    assert split.test
    assert split.valid or sum(corpora.values()) == 2


calls = st.lists(st.sets(st.sampled_from(["calm", "cross", "glad", "proud"]), min_size=1), min_size=4, max_size=30)


def labelled(of_calls: list[set[str]]) -> list[Utterance]:
    """A file of each emotion of each call."""
    return [
        Utterance(Path(f"{call}-{emotion}"), emotion, f"labels/call-{call}", "labels")
        for call, emotions in enumerate(of_calls)
        for emotion in sorted(emotions)
    ]


def split_by_name(utterances: list[Utterance]) -> Split:
    return by_name(utterances, [u.speaker for u in utterances])


@given(calls)
def test_by_name_every_emotion_is_trained_and_those_of_many_callers_are_tested(of_calls: list[set[str]]) -> None:
    utterances = labelled(of_calls)
    try:
        split = split_by_name(utterances)
    except UserError:  # each has what nobody else has
        assert all(sum(emotion in call for call in of_calls) < 2 for emotion in ("calm", "cross", "glad", "proud"))
        return
    assert_speaker_independent(utterances, split)
    emotions = {u.emotion for u in utterances}
    assert {utterances[row].emotion for row in split.train} == emotions


@given(calls, calls)
def test_by_name_who_was_trained_on_never_tests_when_others_come(
    of_calls: list[set[str]], more: list[set[str]]
) -> None:
    same = [{"calm", "cross"} for _ in of_calls]
    before = labelled(same)
    after = labelled([*same, *({"calm", "cross"} for _ in more)])
    trained = who(before, split_by_name(before).train) | who(before, split_by_name(before).valid)
    assert not trained & who(after, split_by_name(after).test)


def test_by_name_few_speakers_only_train() -> None:
    utterances = files({"own": 3, "nemo": 9})
    split = by_name(utterances, [u.speaker for u in utterances])
    assert {u.speaker for u in utterances if u.corpus == "own"} <= who(utterances, split.train)
    assert split.test
    with pytest.raises(UserError, match="four"):
        by_name(utterances[:9], [u.speaker for u in utterances[:9]])


@given(sizes, st.integers(3, 6), st.integers(0, 5))
def test_every_speaker_tests_in_one_fold(corpora: dict[str, int], count: int, seed: int) -> None:
    utterances = files(corpora)
    groups = [u.speaker for u in utterances]
    if len(set(groups)) < count:
        with pytest.raises(UserError, match="speakers"):
            folds(utterances, groups, count, seed)
        return
    made = folds(utterances, groups, count, seed)
    for split in made:
        assert_speaker_independent(utterances, split)
        assert split.train
    tested = [row for split in made for row in split.test]
    assert sorted(tested) == list(range(len(utterances)))


def test_ravdess_keeps_its_published_folds() -> None:
    utterances = files({"ravdess": 24})
    made = folds(utterances, [u.speaker for u in utterances], 5)
    assert [who(utterances, split.test) for split in made] == [
        {f"ravdess/{actor}" for actor in actors} for actors in ravdess.FOLDS
    ]


def test_speakers_who_share_a_recording_count_as_one() -> None:
    speakers = ["a/1", "a/2", "b/1", "b/1", "c/1"]
    recordings = ["x", "y", "y", "z", "w"]
    assert speaker_groups(speakers, recordings) == ["a/1", "a/2", "a/2", "a/2", "c/1"]


def test_the_same_seed_gives_the_same_split() -> None:
    utterances = files({"own": 12})
    groups = [u.speaker for u in utterances]
    assert by_speaker(utterances, groups, 3) == by_speaker(utterances, groups, 3)
    assert by_speaker(utterances, groups, 3) != by_speaker(utterances, groups, 4)


def test_test_speakers_can_be_named() -> None:
    utterances = files({"ravdess": 6, "emodb": 4})
    groups = [u.speaker for u in utterances]
    split = with_test_speakers(utterances, groups, ["ravdess/03", "emodb/*"])
    assert who(utterances, split.test) == {"ravdess/03", "emodb/01", "emodb/02", "emodb/03", "emodb/04"}
    assert_speaker_independent(utterances, split)
    with pytest.raises(UserError, match="no speaker 'nobody'"):
        with_test_speakers(utterances, groups, ["nobody"])
    with pytest.raises(UserError, match="nobody is left"):
        with_test_speakers(utterances, groups, ["ravdess/*", "emodb/*"])


def test_the_random_split_mixes_speakers() -> None:
    utterances = files({"own": 5}, takes=20)
    split = random_split(len(utterances))
    assert who(utterances, split.train) & who(utterances, split.test)
    assert len(split.test) == 20
    assert sorted((*split.train, *split.valid, *split.test)) == list(range(100))
