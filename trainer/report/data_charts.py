"""Charts of what a model was trained on."""

from collections import Counter

import numpy as np
from matplotlib.figure import Figure

from trainer.data.dataset import Dataset
from trainer.data.splits import Split
from trainer.report.style import ACCENT, SOFT, figure
from undertone.acoustics.decode import load
from undertone.acoustics.frames import HOPS_PER_SECOND
from undertone.acoustics.level import FULL_SCALE
from undertone.analysis.colours import colour_of

_PARTS = {"train": ACCENT, "valid": "#e8a317", "test": "#d1343c"}
_MOST_EXAMPLES = 8
_MOST_SPEAKERS = 60
_CORPUS_COLOURS = ("#3b6fb6", "#2a9d8f", "#e8a317", "#7b52ab", "#d1343c", "#7d8f2b", "#17a2c4", "#8c564b")


def counts(dataset: Dataset) -> Figure:
    """Files by emotion, stacked by corpus, and hours by corpus."""
    corpora = sorted({utterance.corpus for utterance in dataset.utterances})
    pairs = Counter((utterance.emotion, utterance.corpus) for utterance in dataset.utterances)
    made, (files, hours) = figure(10.5, 0.6 + 0.34 * max(len(dataset.labels), 3), 1, 2, width_ratios=(2, 1))
    below = np.zeros(len(dataset.labels))
    for k, corpus in enumerate(corpora):
        values = np.array([pairs[label, corpus] for label in dataset.labels])
        colour = _CORPUS_COLOURS[k % len(_CORPUS_COLOURS)]
        files.barh(dataset.labels, values, left=below, color=colour, label=corpus, height=0.7)
        below += values
        seconds = [
            f.frames.shape[0] / 80
            for u, f in zip(dataset.utterances, dataset.features, strict=True)
            if u.corpus == corpus
        ]
        hours.barh([corpus], [sum(seconds) / 3600], color=colour, height=0.6)
    for y, total in enumerate(below):
        files.text(total, y, f" {int(total)}", va="center", color=SOFT, fontsize=8.5)
    files.set(title="Files by emotion", xlim=(0, below.max() * 1.1))
    files.invert_yaxis()
    files.grid(axis="y", visible=False)
    if len(corpora) > 1:
        files.legend(loc="lower right", ncols=min(len(corpora), 4), bbox_to_anchor=(1.0, 1.0))
    # As tall as if there were one corpus for each emotion: a single bar would fill the whole chart.
    spare = max(len(dataset.labels) - len(corpora), 0)
    hours.set(title="Hours by corpus", xlabel="hours", ylim=(len(corpora) - 0.5 + spare, -0.5))
    hours.grid(axis="y", visible=False)
    return made


def speakers(dataset: Dataset, split: Split | None) -> Figure:
    """Files of each speaker, coloured by the part they belong to (all alike where there were folds)."""
    part: dict[str, str] = {}
    if split:
        for name in _PARTS:
            part |= {dataset.utterances[k].speaker: name for k in getattr(split, name)}
    totals = Counter(utterance.speaker for utterance in dataset.utterances)
    order = sorted(totals, key=lambda name: (list(_PARTS).index(part.get(name, "train")), name))[:_MOST_SPEAKERS]
    made, (axes,) = figure(10.5, 3.1)
    axes.bar(
        range(len(order)), [totals[name] for name in order], color=[_PARTS[part.get(name, "train")] for name in order]
    )
    axes.set_xticks(range(len(order)), order, rotation=90, fontsize=8)
    axes.set(title="Files by speaker", ylabel="files", xlim=(-0.7, len(order) - 0.3))
    axes.grid(axis="x", visible=False)
    if split:
        names = {"train": "training", "valid": "validation", "test": "test"}
        for name, colour in _PARTS.items():
            if name in part.values():
                axes.bar([0], [0], color=colour, label=names[name])
        axes.legend(ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    return made


def examples(dataset: Dataset) -> Figure:
    """A waveform and its log-mel spectrogram for up to eight emotions, of one speaker where one has them all."""
    chosen = example_rows(dataset)
    columns = min(4, len(chosen))
    groups = -(-len(chosen) // columns)
    made = Figure(figsize=(10.5, 2.9 * groups), layout="constrained")
    grid = made.subplots(2 * groups, columns, squeeze=False, gridspec_kw={"height_ratios": [1, 1.9] * groups})
    for axes in grid.flat:
        axes.set_visible(False)
    for number, index in enumerate(chosen):
        row, column = divmod(number, columns)
        utterance, features = dataset.utterances[index], dataset.features[index]
        samples, rate = load(utterance.path)
        wave, picture = grid[2 * row, column], grid[2 * row + 1, column]
        mono = samples.mean(axis=1) / FULL_SCALE
        low, high, times = _envelope(mono, rate)
        wave.fill_between(times, low, high, color=colour_of(utterance.emotion, dataset.labels), linewidth=0.3)
        wave.set(xlim=(0, len(mono) / rate), yticks=[], xticks=[])
        wave.set_title(utterance.emotion)
        wave.spines[["left", "bottom"]].set_visible(False)
        frames = features.frames[: round(len(mono) / rate * HOPS_PER_SECOND)].T
        top = frames.max()
        picture.imshow(
            frames, origin="lower", aspect="auto", extent=(0, len(mono) / rate, 0, len(frames)), cmap="magma",
            vmin=top - 14, vmax=top, interpolation="nearest",
        )  # fmt: skip
        picture.set_xlabel("s")
        picture.set_yticks([])
        picture.grid(visible=False)
        if column == 0:
            picture.set_ylabel("mel band")
        for axes in (wave, picture):
            axes.set_visible(True)
    return made


def _seconds(dataset: Dataset, corpus: str) -> float:
    pairs = zip(dataset.utterances, dataset.features, strict=True)
    return sum(len(features.frames) / HOPS_PER_SECOND for utterance, features in pairs if utterance.corpus == corpus)


def example_rows(dataset: Dataset) -> list[int]:
    """One utterance of each emotion, of up to eight; of one speaker where one has them all."""
    by_speaker: dict[str, dict[str, int]] = {}
    for index, utterance in enumerate(dataset.utterances):
        by_speaker.setdefault(utterance.speaker, {}).setdefault(utterance.emotion, index)
    names = sorted(by_speaker, key=lambda name: (-len(by_speaker[name]), name))
    found: dict[str, int] = {}
    for name in names:
        found = by_speaker[name] | found
    return [found[label] for label in dataset.labels][:_MOST_EXAMPLES]


def _envelope(mono: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    hop = max(1, len(mono) // 600)
    blocks = mono[: len(mono) // hop * hop].reshape(-1, hop)
    return blocks.min(axis=1), blocks.max(axis=1), np.arange(len(blocks)) * hop / rate
