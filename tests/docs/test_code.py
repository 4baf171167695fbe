"""The Python that the documentation shows: it parses, and the program that sends labels sends valid ones."""

import ast
import io
import re

import pytest
import yaml
from rich.console import Console

from schemas.labels import LabelEnvelope
from tests.support.paths import ROOT
from undertone.analysis.analyze import AnalyzeOptions, analyze
from undertone.analysis.output import JsonLines
from undertone.inference.model import Model
from undertone.messaging.settings import KafkaSettings
from worker.settings import WorkerSettings

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [
    pytest.param(code, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S))
]


@pytest.mark.parametrize("code", BLOCKS)
def test_shown_python_parses(code: str) -> None:
    ast.parse(code)


def test_shown_yaml_is_a_worker_that_the_image_and_the_settings_know() -> None:
    page = (ROOT / "docs" / "how-to" / "deploy.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```yaml\n(.*?)^```", page, flags=re.M | re.S)
    pod = yaml.safe_load(text)["spec"]["template"]["spec"]
    (worker,) = pod["containers"]
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"--uid {pod['securityContext']['runAsUser']} " in dockerfile
    assert f"EXPOSE {worker['ports'][0]['containerPort']}" in dockerfile
    assert {one["name"] for one in worker["env"]} <= KafkaSettings.variables() | WorkerSettings.variables()


def test_the_program_that_sends_labels_sends_valid_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fed with the lines of a call, as `undertone tail --format jsonl` prints them."""
    page = (ROOT / "docs" / "how-to" / "relabel.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.M | re.S)
    sent: list[tuple[str, bytes, bytes]] = []

    class Producer:
        """Keeps what it is given."""

        def __init__(self, **_options: object) -> None:
            """Connect to nothing."""

        def send(self, topic: str, *, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
            """Keep a record."""
            assert dict(headers)["content-type"].startswith(b"application/cloudevents+json")
            sent.append((topic, key, value))

        def close(self) -> None:
            """Nothing is held back."""

    lines = io.StringIO()
    analyze([str(ROOT / "samples" / "angry.flac")], Model.load(), AnalyzeOptions(), JsonLines(lines, Console()))
    monkeypatch.setattr("kafka.KafkaProducer", Producer)
    monkeypatch.setattr("sys.argv", ["label.py", "frustrated", "ann"])
    monkeypatch.setattr("sys.stdin", io.StringIO(lines.getvalue()))
    exec(compile(code, "label.py", "exec"), {})  # noqa: S102  our own page
    assert sent
    for topic, key, value in sent:
        label = LabelEnvelope.model_validate_json(value)
        assert (topic, key.decode()) == ("emotion-labels", label.subject)
        assert label.data.emotion == "frustrated"
