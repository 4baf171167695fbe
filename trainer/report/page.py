"""A run's outcome as files: the bundle, its weights, the figures as JSON, the confusion matrix, the page."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2

from schemas.errors import UserError
from trainer.data.snapshot_folders import CORPUS, whose
from trainer.report import data_charts, prediction_charts
from trainer.report.files import BUNDLE, CONFUSION, METRICS, PAGE
from trainer.report.groups import interval_over_speakers, score_groups
from trainer.report.review import Review, write_review
from trainer.report.style import png, style, svg
from trainer.train import Outcome
from trainer.training.network import network_weights
from trainer.training.weights import save_weights
from undertone.inference.bundle import bundle_bytes


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture and what it says, for those who cannot see it.

    calls: those of which it shows something, by which `undertone labels forget` finds it.
    """

    source: str
    text: str
    calls: str = ""


def write(
    outcome: Outcome, folder: Path, checks: Sequence[Mapping[str, Any]] = (), review: Review | None = None
) -> dict[str, Any]:
    """Write everything into `folder` and give the figures, as `metrics.json` has them. Calls are numbered, not named.

    Args:
        checks: those that a candidate had to pass, where it was held against the champion.
        review: the labels that look wrong, where they were looked for.

    Raises:
        UserError: the folder cannot be written.
    """
    outcome = _without_names(outcome)
    figures = _figures(outcome) | ({"gate": list(checks)} if checks else {})
    bundle = outcome.final.bundle
    card = bundle.card
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / BUNDLE).write_bytes(bundle_bytes(bundle))
        model = outcome.final.model
        save_weights(folder / BUNDLE, network_weights(model), model.undertone_shape, card.version)
        (folder / METRICS).write_text(json.dumps(figures, indent=2) + "\n")
        with style():
            (folder / CONFUSION).write_bytes(png(prediction_charts.confusion(outcome.results["clean"], card.labels)))
            (folder / PAGE).write_text(_page(outcome, figures, folder, review), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder}: cannot write the results there ({error.strerror})") from None
    if review:
        write_review(review, folder)
    return figures


def _figures(outcome: Outcome) -> dict[str, Any]:
    card, clean = outcome.final.bundle.card, outcome.results["clean"]
    who = _speakers(outcome)
    low, high = interval_over_speakers(clean, who)
    return {
        "model_version": card.version,
        "test": clean.to_json(card.labels) | {"uar_interval_over_speakers": [low, high]},
        "conditions": {
            name: result.to_json(card.labels) for name, result in outcome.results.items() if name != "clean"
        },
        "uar_by_speaker": {score.name: score.uar for score in score_groups(clean, who)},
        "uar_by_gender": {score.name: score.uar for score in score_groups(clean, _genders(outcome))},
        "test_speakers": sorted(set(who)),
        "networks_tested": len(outcome.networks),
        "training": [
            [{"epoch": e.epoch, "loss": e.loss, "valid_uar": e.valid_uar} for e in network.history]
            for network in outcome.networks
        ],
        "recipe": outcome.recipe.model_dump(),
        "started_from": outcome.started_from,
        "warnings": dict(outcome.labelled.warnings),
        "training_seconds": round(outcome.seconds, 1),
        "us_per_second_of_audio": card.metrics["us_per_s"],
        "parity": card.metrics["parity"],
    }


def _page(outcome: Outcome, figures: dict[str, Any], folder: Path, review: Review | None) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    card = outcome.final.bundle.card
    return environment.get_template("report.html").render(
        card=card,
        figures=figures,
        test=figures["test"],
        outcome=outcome,
        chance=1 / len(card.labels),
        review=review,
        # Beside the run's own folder, so that both can be moved together.
        links=[os.path.relpath(row.audio, folder) for row in review.rows] if review else [],
        **_charts(outcome, figures),
    )


def _charts(outcome: Outcome, figures: dict[str, Any]) -> dict[str, Chart]:
    clean, card, dataset = outcome.results["clean"], outcome.final.bundle.card, outcome.dataset
    split = outcome.networks[0].split if len(outcome.networks) == 1 else None
    people, genders = (score_groups(clean, names) for names in (_speakers(outcome), _genders(outcome)))
    made = {
        "counts": (data_charts.counts(dataset), "Files by emotion and corpus; hours by corpus."),
        "speakers": (data_charts.speakers(dataset, split), "Files of each speaker, by part of the split."),
        "examples": (data_charts.examples(dataset), "A waveform and a spectrogram of each emotion."),
        "curves": (
            prediction_charts.curves([n.history for n in outcome.networks]),
            "Loss and validation UAR by epoch.",
        ),
        "confusion": (
            prediction_charts.confusion(clean, card.labels),
            "Confusion matrix; its numbers are in the table.",
        ),
        "by_class": (prediction_charts.by_class(clean, card.labels), "Precision, recall and F1 of each emotion."),
        "roc": (prediction_charts.roc_and_pr(clean, card.labels), "ROC and precision-recall curves of each emotion."),
        "calibration": (
            prediction_charts.calibration(clean, figures["test"]["ece"]),
            "Right predictions by probability.",
        ),
        "coverage": (
            prediction_charts.coverage(clean, card.calibration.uncertain_below),
            "Accuracy against the share of files with a prediction.",
        ),
        "conditions": (
            prediction_charts.conditions(outcome.results, len(card.labels)),
            "UAR by condition and by time.",
        ),
        "fairness": (prediction_charts.fairness(people, genders), "UAR by speaker and by gender."),
    }
    charts = {name: Chart(svg(picture), text) for name, (picture, text) in made.items()}
    shown = [whose(Path(os.path.normpath(dataset.utterances[row].path))) for row in data_charts.example_rows(dataset)]
    charts["examples"] = replace(charts["examples"], calls=" ".join(filter(None, shown)))
    return charts


def _without_names(outcome: Outcome) -> Outcome:
    """Calls as numbers: pages and figures are sent around, and kept when a call is to be forgotten."""
    utterances = outcome.dataset.utterances
    calls = sorted({utterance.speaker for utterance in utterances if utterance.corpus == CORPUS})
    names = {call: f"call {number}" for number, call in enumerate(calls, 1)}
    renamed = tuple(replace(one, speaker=names.get(one.speaker, one.speaker)) for one in utterances)
    return replace(outcome, dataset=replace(outcome.dataset, utterances=renamed))


def _speakers(outcome: Outcome) -> list[str]:
    """The speaker of each row of the results."""
    return [outcome.dataset.utterances[k].speaker for network in outcome.networks for k in network.split.test]


def _genders(outcome: Outcome) -> list[str]:
    return [outcome.dataset.utterances[k].gender for network in outcome.networks for k in network.split.test]
