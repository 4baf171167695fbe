"""Label Studio's JSON: utterances out as tasks of audio classification, its annotations in as labels.

A task carries in its data all that a label says beside the emotion, so an import looks nothing up, and the audio may be
gone by then.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from schemas.errors import UserError, one_line
from schemas.labels import EmotionLabel
from trainer.labelling.heard import Utterance

TASKS = "tasks.json"
# Under which name a task's data hold the label's fields.
_LABEL = "undertone"
_TIME: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


def export_tasks(
    chosen: Iterable[Utterance], samples: Callable[[Utterance], NDArray[np.int16] | None], folder: Path, url: str
) -> int:
    """Write a WAV file for each utterance, and `tasks.json`. Returns how many tasks those are.

    Args:
        url: what stands before the name of a file where Label Studio finds it.

    Raises:
        UserError: the folder cannot be written.
    """
    tasks = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in chosen:
            sound = samples(one)
            if sound is None:
                continue
            name = f"{one.id}.wav"
            soundfile.write(folder / name, sound, one.said.sample_rate, subtype="PCM_16")
            tasks.append(_task(one, f"{url}{name}"))
        (folder / TASKS).write_text(json.dumps(tasks, indent=1) + "\n", encoding="utf-8")
    except (OSError, soundfile.LibsndfileError) as error:
        raise UserError(f"{folder}: cannot be written ({error})") from None
    return len(tasks)


def read_annotations(file: Path, by: str | None) -> Iterator[tuple[EmotionLabel, datetime | None]]:
    """The labels of an export of Label Studio in its JSON format, each with the time of its annotation.

    Args:
        by: who is named as the one who labelled; else the annotation's author.

    Raises:
        UserError: it is no such export, or its tasks were not made by `undertone labels export`.
    """
    try:
        tasks = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read as JSON ({one_line(error)})") from None
    if not isinstance(tasks, list):
        raise UserError(f"{file}: no export of Label Studio: want a list of tasks")
    for number, task in enumerate(tasks, 1):
        try:
            yield from _labels(task, by)
        except (KeyError, TypeError, ValidationError) as error:
            what = (
                error.errors()[0]["msg"] if isinstance(error, ValidationError) else f"{type(error).__name__}: {error}"
            )
            raise UserError(f"{file}, task {number}: {one_line(what)}") from None


def _task(one: Utterance, audio: str) -> dict[str, Any]:
    fields = one.label("neutral", "nobody").model_dump(mode="json", exclude_none=True)
    for name in ("emotion", "labelled_by", "comment"):
        fields.pop(name, None)
    start, end = one.seconds
    first = max(one.said.probabilities, key=one.said.probabilities.__getitem__)
    return {
        "data": {"audio": audio, "call": one.stream, "from_s": round(start, 2), "to_s": round(end, 2), _LABEL: fields},
        "predictions": [
            {
                "model_version": one.said.model_version,
                "score": one.said.probabilities[first],
                "result": [
                    {"from_name": "emotion", "to_name": "audio", "type": "choices", "value": {"choices": [first]}}
                ],
            }
        ],
    }


def _labels(task: dict[str, Any], by: str | None) -> Iterator[tuple[EmotionLabel, datetime | None]]:
    fields = task["data"][_LABEL]
    for annotation in task["annotations"]:
        if annotation.get("was_cancelled"):
            continue
        for result in annotation["result"]:
            if result.get("type") != "choices":
                continue
            emotion = str(result["value"]["choices"][0]).strip().lower()
            said = {"emotion": emotion, "labelled_by": by or _author(annotation)}
            when = annotation.get("updated_at") or annotation.get("created_at")
            yield EmotionLabel.model_validate(fields | said), _TIME.validate_python(when) if when else None


def _author(annotation: dict[str, Any]) -> str:
    """An email where the export has it, else Label Studio's number of the user."""
    author = annotation.get("completed_by")
    if isinstance(author, dict):
        author = author.get("email") or author.get("id")
    return f"label-studio:{author}" if isinstance(author, int) or author is None else str(author)
