"""What a training run is asked for, and the choices that follow from it: start, split, recipe."""

import re
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import UserError
from trainer.data.corpora import LabelledSpeech
from trainer.data.dataset import Dataset
from trainer.data.splits import Split, by_name, by_speaker, folds, with_test_speakers
from trainer.training.recipe import Recipe
from trainer.training.weights import Start, load_start, weights_path
from undertone.inference.bundle import DEFAULT_BUNDLE, read_bundle
from undertone.inference.class_prior import parse_prior

# Clips drawn for an epoch. A few hundred clips fill too few batches to learn from; ten thousand take more than the
# quarter of an hour that thirty epochs may, and come up in turn over several epochs instead.
_FEWEST_DRAWS, _MOST_DRAWS = 640, 3200
# Each clip comes up about so often in all, within that time. From nothing, two folds of RAVDESS (840 clips to train
# with) were at 0.44 and 0.49 when each came up 30 times, and at 0.56 and 0.58 when it came up 115 times.
_TIMES_EACH = 100


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """What `undertone train` was asked for.

    prior: how often labels are in the calls that the model is for, as `parse_prior` takes it.
    start: `none`, a bundle's path, or None for the shipped bundle where its data are not those to test on.
    label_weight: how often a label of a call is drawn, where a file of a corpus is drawn once.
    parent: the champion that the model will be held against.
    by_name: whether the test speakers are chosen by their names, so that they stay the same from run to run.
    """

    data: tuple[Path, ...]
    name: str = "emotions"
    seed: int = 0
    epochs: int | None = None
    start: str | None = None
    test_speakers: tuple[str, ...] = ()
    folds: int | None = None
    noise: tuple[Path, ...] = ()
    prior: str | None = None
    label_weight: float = 1.0
    parent: str | None = None
    by_name: bool = False

    def __post_init__(self) -> None:
        # Ten digits of a checksum follow, and the whole is a model version of at most 64.
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,52}", self.name):
            raise UserError(f"--name {self.name}: want small letters, digits, dots, _ and -, at most 53")
        if self.prior:
            parse_prior(self.prior)


def choose_start(options: TrainingOptions, labelled: LabelledSpeech) -> tuple[Start | None, str]:
    """The weights to start from, and one line that says which and why.

    Weights that were trained on the test speakers would make the test's figures a lie, so shipped weights are taken by
    themselves only for corpora that they were not trained on.

    Raises:
        UserError: the weights that were asked for are missing or damaged.
    """
    if options.start == "none":
        return None, "Starting from nothing, as asked."
    if options.start is not None:
        start = load_start(Path(options.start))
        known = _overlap(start.card.training_data, labelled)
        warning = f" It was trained on {known}: figures on their speakers are too high." if known else ""
        return start, f"Starting from {start.card.version}.{warning}"
    if not weights_path(DEFAULT_BUNDLE).is_file():
        return None, "Starting from nothing: the shipped bundle comes without weights to start from."
    if known := _overlap(read_bundle(DEFAULT_BUNDLE).card.training_data, labelled):
        return None, f"Starting from nothing: the shipped weights know {known}, so its speakers could not test."
    start = load_start(DEFAULT_BUNDLE)
    return start, f"Starting from the shipped weights, {start.card.version} (--from none starts from nothing)."


def choose_splits(options: TrainingOptions, dataset: Dataset) -> list[Split]:
    """One split by speaker, or one for each fold.

    Raises:
        UserError: speakers that do not exist, more folds than speakers, or both asked for.
    """
    if options.folds and options.test_speakers:
        raise UserError("--folds tests every speaker in turn, --test-speakers names some: give one of the two")
    if options.folds:
        return folds(dataset.utterances, dataset.groups, options.folds, options.seed)
    if options.test_speakers:
        return [with_test_speakers(dataset.utterances, dataset.groups, options.test_speakers, options.seed)]
    if options.by_name:
        return [by_name(dataset.utterances, dataset.groups)]
    return [by_speaker(dataset.utterances, dataset.groups, options.seed)]


def choose_recipe(options: TrainingOptions, clips: int) -> Recipe:
    """The recipe for so many clips."""
    draws = min(max(clips, _FEWEST_DRAWS), _MOST_DRAWS)
    recipe = Recipe(clips_per_epoch=draws)
    most = recipe.epochs * _MOST_DRAWS
    enough = max(recipe.epochs, round(min(_TIMES_EACH * clips, most) / draws))
    recipe = recipe.model_copy(update={"epochs": options.epochs or enough})
    # The averaged weights must not reach back to where a short run began: over the last tenth of it at most.
    steps = recipe.epochs * max(draws // recipe.batch, 1)
    return recipe.model_copy(update={"ema": min(recipe.ema, max(1 - 10 / steps, 0.0))})


def _overlap(trained_on: tuple, labelled: LabelledSpeech) -> str:
    corpora = {utterance.corpus for utterance in labelled.utterances}
    return ", ".join(sorted(corpora & {part.corpus for part in trained_on}))
