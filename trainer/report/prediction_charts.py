"""Charts of a model's predictions for held-out speakers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

from trainer.evaluation.held_out import HeldOutResult
from trainer.report.groups import GroupScore
from trainer.report.style import ACCENT, INK, SOFT, figure, share_axis
from trainer.training.fit import Epoch
from undertone.analysis.colours import colour_of
from undertone.analysis.metrics import calibration_bins, class_scores

_DASHED: dict[str, Any] = {"color": SOFT, "linestyle": (0, (4, 4)), "linewidth": 1}
_MOST_DOTS = 60


def curves(histories: Sequence[Sequence[Epoch]]) -> Figure:
    """Loss and validation UAR by epoch, a line for each network."""
    made, (loss, uar) = figure(10.5, 3.0, 1, 2)
    for number, history in enumerate(histories, start=1):
        epochs = [epoch.epoch for epoch in history]
        shade: dict[str, Any] = {
            "color": ACCENT,
            "alpha": 1.0 if len(histories) == 1 else 0.35 + 0.65 * number / len(histories),
            "marker": "o" if len(history) == 1 else "",  # a line of one point is none
        }
        loss.plot(epochs, [epoch.loss for epoch in history], **shade)
        validated = [(epoch.epoch, epoch.valid_uar) for epoch in history if epoch.valid_uar is not None]
        if validated:
            uar.plot(*zip(*validated, strict=True), label=f"fold {number}", **shade)
    loss.set(title="Training loss, on augmented clips", xlabel="epoch")
    loss.set_ylim(bottom=0)
    for axes in (loss, uar):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    uar.set(title="UAR on validation speakers", xlabel="epoch")
    share_axis(uar, "")
    if not uar.lines:
        uar.text(0.5, 0.5, "no validation speakers", transform=uar.transAxes, ha="center", color=SOFT)
    elif len(histories) > 1:
        uar.legend(loc="lower right", ncols=2)
    return made


def confusion(result: HeldOutResult, labels: Sequence[str]) -> Figure:
    """Share of each true emotion that was called each emotion, and the counts."""
    size = len(labels)
    made, (axes,) = figure(2.6 + 0.72 * size, 1.6 + 0.58 * size)
    counts = result.matrix
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row in range(size):
        for column in range(size):
            if not counts[row, column]:
                continue
            colour = "white" if shares[row, column] > 0.55 else INK
            text = f"{shares[row, column]:.2f}\n{counts[row, column]}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8.5, linespacing=1.25)
    axes.set_xticks(range(size), labels, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(
        range(size), [f"{label} ({total})" for label, total in zip(labels, counts.sum(axis=1), strict=True)]
    )
    axes.set(xlabel="predicted", ylabel="labelled", title="Confusion matrix: share of the row, and files")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return made


def by_class(result: HeldOutResult, labels: Sequence[str]) -> Figure:
    """Precision, recall and F1 of each emotion."""
    scores = class_scores(result.matrix)
    made, (axes,) = figure(10.5, 3.0)
    places = np.arange(len(labels))
    for k, (name, values, colour) in enumerate(
        [("precision", scores.precision, "#9db8dc"), ("recall", scores.recall, ACCENT), ("F1", scores.f1, "#22416d")]
    ):
        axes.bar(places + (k - 1) * 0.26, values, width=0.24, color=colour, label=name)
    axes.set_xticks(places, labels)
    share_axis(axes, "")
    axes.set_title("Precision, recall and F1")
    axes.grid(axis="x", visible=False)
    axes.legend(ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    return made


def roc_and_pr(result: HeldOutResult, labels: Sequence[str]) -> Figure:
    """Each emotion against the rest: ROC and precision-recall, with their areas."""
    made, (roc, pr) = figure(10.5, 4.4, 1, 2)
    for k, label in enumerate(labels):
        truth, scores = result.truth == k, result.probabilities[:, k]
        if not truth.any() or truth.all():
            continue
        colour = colour_of(label, labels)
        false, true, _ = roc_curve(truth, scores)
        roc.plot(false, true, color=colour, label=f"{label} {auc(false, true):.2f}")
        precision, recall, _ = precision_recall_curve(truth, scores)
        pr.plot(recall, precision, color=colour, label=f"{label} {average_precision_score(truth, scores):.2f}")
    roc.plot([0, 1], [0, 1], **_DASHED)
    share_axis(roc, "share of the emotion found")
    share_axis(roc, "share of the rest taken for it", vertical=False)
    roc.set_title("ROC, area under the curve")
    share_axis(pr, "precision")
    share_axis(pr, "recall", vertical=False)
    pr.set_title("Precision and recall, average precision")
    for axes in (roc, pr):
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return made


def calibration(result: HeldOutResult, ece: float) -> Figure:
    """Accuracy by confidence, and how many predictions have that confidence."""
    bins = calibration_bins(result.truth, result.probabilities, 10)
    made, (diagram, counts) = figure(10.5, 3.6, 1, 2)
    used = bins.count > 0
    diagram.plot([0, 1], [0, 1], **_DASHED)
    diagram.plot(bins.confidence[used], bins.accuracy[used], color=ACCENT, marker="o", markersize=5)
    share_axis(diagram, "share of right predictions")
    share_axis(diagram, "probability of the prediction", vertical=False)
    diagram.set_title(f"Calibration: ECE {ece:.3f} (on the dashes: exact; below: too sure)")
    edges = np.arange(10) / 10
    counts.bar(edges + 0.05, bins.count, width=0.092, color=ACCENT)
    share_axis(counts, "probability of the prediction", vertical=False)
    counts.set(title="How sure the predictions are", ylabel="files")
    return made


def coverage(result: HeldOutResult, threshold: float) -> Figure:
    """What predicting only when sure buys: accuracy against the share of files that get a prediction."""
    confidence = result.probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    right = (result.predictions == result.truth)[order]
    covered = np.arange(1, len(right) + 1) / len(right)
    accuracy = np.cumsum(right) / np.arange(1, len(right) + 1)
    made, (axes,) = figure(10.5, 3.0)
    axes.plot(covered, accuracy, color=ACCENT)
    share = float((confidence >= threshold).mean())
    if share > 0:
        there = accuracy[max(round(share * len(right)) - 1, 0)]
        axes.plot([share], [there], "o", color="#d1343c")
        axes.annotate(
            f"uncertain below {threshold:.2f}: predicts {share:.0%}, {there:.0%} of them right",
            (share, there), xytext=(-4, -34 if there > 0.55 else 28), textcoords="offset points", ha="right", color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
        )  # fmt: skip
    share_axis(axes, "share of right predictions")
    share_axis(axes, "share of files with a prediction, the surest first", vertical=False)
    axes.set_title("Coverage and accuracy")
    return made


def conditions(results: Mapping[str, HeldOutResult], labels: int) -> Figure:
    """UAR clean, by telephone, in noise, on bad lines and in calls; and after so many seconds of speech."""
    made, (bars, lines) = figure(10.5, 3.6, 1, 2)
    values = [result.uar for result in results.values()]
    colours = [ACCENT, ACCENT, *["#8fa9cc"] * (len(values) - 2)]
    drawn = bars.barh(range(len(values)), values, color=colours, height=0.68)
    bars.bar_label(drawn, [f"{value:.2f}" for value in values], padding=3, color=INK)
    bars.axvline(1 / labels, **_DASHED)
    bars.set_yticks(range(len(values)), [name.replace("noise", "babble") for name in results], fontsize=9)
    bars.invert_yaxis()
    share_axis(bars, "UAR", vertical=False)
    bars.set_title("By condition (dashed: chance)")
    bars.grid(axis="y", visible=False)
    for name in ("clean", "telephone"):
        result = results[name]
        seconds = sorted(result.after)
        values = [*(result.uar_after(second) for second in seconds), result.uar]
        colour = ACCENT if name == "clean" else "#e8a317"
        lines.plot(range(len(values)), values, marker="o", markersize=5, label=name, color=colour)
        if name == "clean":
            lines.set_xticks(range(len(values)), [*(f"{second:g} s" for second in seconds), "all"])
            for place, value in enumerate(values):
                lines.annotate(f"{value:.2f}", (place, value), xytext=(0, 7), textcoords="offset points", ha="center")
    lines.axhline(1 / labels, **_DASHED)
    share_axis(lines, "UAR")
    lines.set_title("After so much speech")
    lines.legend(loc="upper left", ncols=2)
    return made


def fairness(by_speaker: Sequence[GroupScore], by_gender: Sequence[GroupScore]) -> Figure:
    """UAR of each test speaker, and of each gender where the data name it."""
    made, (people, genders) = figure(10.5, 3.4, 1, 2, width_ratios=(3, 1))
    shown = sorted(by_speaker, key=lambda score: score.uar)[:_MOST_DOTS]
    places = range(len(shown))
    people.vlines(places, [s.low for s in shown], [s.high for s in shown], color="#9db8dc", linewidth=3)
    people.plot(places, [s.uar for s in shown], "o", color=ACCENT, markersize=5)
    people.set_xticks(places, [s.name for s in shown], rotation=90, fontsize=8)
    share_axis(people, "UAR")
    people.set_title("By test speaker, with the 95% interval that its files leave")
    people.grid(axis="x", visible=False)
    if by_gender:
        drawn = genders.bar([s.name for s in by_gender], [s.uar for s in by_gender], color=ACCENT, width=0.55)
        genders.bar_label(drawn, [f"{s.uar:.2f}\nn={s.n}" for s in by_gender], padding=2, color=INK)
        share_axis(genders, "UAR")
    else:
        genders.text(0.5, 0.5, "the data name\nno gender", transform=genders.transAxes, ha="center", color=SOFT)
        genders.set(xticks=[], yticks=[])
    genders.set_title("By gender")
    genders.grid(axis="x", visible=False)
    return made
