"""The champion on labels that came after it was made, and whom a trainer asks whether calls drift."""

import json
import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse
from uuid import UUID

import pytest

from schemas.events import AudioSpan
from schemas.labels import EmotionLabel, LabelEnvelope
from tests.support.voices import RATE, utterance
from trainer.collection.dataset import Dataset
from trainer.collection.entry import Entry, State
from trainer.data.stretches import Stretch
from trainer.rebuild.drift import QUERY, DriftWatch
from trainer.rebuild.standing import Figures, Standing, figures_of
from undertone.inference.bundle import DEFAULT_BUNDLE, bundle_bytes, read_bundle
from undertone.inference.model import Model

TOPIC = UUID(int=7)
SPAN = AudioSpan(topic="call-audio", partition=0, first_offset=0, last_offset=9)
MADE = datetime(2026, 1, 1, tzinfo=UTC)


def bundle(version: str = "v") -> bytes:
    shipped = read_bundle(DEFAULT_BUNDLE)
    return bundle_bytes(replace(shipped, card=shipped.card.model_copy(update={"version": version, "created": MADE})))


def say(dataset: Dataset, offset: int, emotion: str, hours: float = 1) -> None:
    """A label, so long after the model was made."""
    when = MADE + timedelta(hours=hours)
    data = EmotionLabel(call_id=f"c{offset}", channel="customer", emotion=emotion, labelled_by="ann", event_id="e")
    samples = utterance("satisfied" if emotion == "calm" else "frustrated", offset, 0)
    entry = Entry(
        state=State.COLLECTED,
        topic="emotion-labels",
        partition=0,
        offset=offset,
        received=when,
        label=LabelEnvelope(id="1", source="/t", subject=f"c{offset}/customer", time=when, data=data),
        stretch=Stretch(f"c{offset}/customer", 0, len(samples), RATE, SPAN),
    )
    dataset.add(TOPIC, f"c{offset}", entry, samples)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """An empty one."""
    made = Dataset.open(str(tmp_path / "dataset"))
    made.create()
    return made


def test_only_labels_of_its_emotions_since_it_was_made_count(dataset: Dataset) -> None:
    model = Model.load(bundle())
    for offset in range(6):
        say(dataset, offset, "calm")
    say(dataset, 6, "calm", hours=-1)  # it may have learnt from this one
    say(dataset, 7, "astonished")
    few = figures_of(model, dataset)
    assert few.labels == 6
    assert math.isnan(few.uar) and math.isnan(few.ece)
    for offset in range(8, 12):
        say(dataset, offset, "angry")
    found = figures_of(model, dataset)
    assert (found.version, found.labels) == ("v", 10)
    assert 0 <= found.uar <= 1 and 0 <= found.ece <= 1


def test_it_is_looked_at_again_where_labels_have_come_or_the_champion_is_another(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.rebuild.standing._LOOK_S", 0)
    champions, told = [bundle("a")], list[Figures]()
    standing = Standing(dataset, lambda: champions[-1], told.append)
    standing.look(0)
    standing.look(0)
    assert [one.version for one in told] == ["a"]
    standing.look(1)
    champions.append(bundle("b"))
    standing.look(1)
    assert [one.version for one in told] == ["a", "a", "b"]


class Prometheus(BaseHTTPRequestHandler):
    """Says what its server's `says` is, and nothing to another question."""

    def do_GET(self) -> None:
        """Answer."""
        server: Any = self.server
        asked = urlparse(self.path)
        known = asked.path == "/api/v1/query" and parse_qs(asked.query) == {"query": [QUERY]}
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(server.says if known else b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def prometheus() -> Iterator[Any]:
    """It answers as Prometheus' API does."""
    server: Any = HTTPServer(("127.0.0.1", 0), Prometheus)
    server.says = b"{}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(60)


def alerts(*figures: str) -> bytes:
    result = [{"metric": {"alertname": "CallsDrift", "figure": figure}, "value": [0, "1"]} for figure in figures]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


@pytest.mark.parametrize(
    ("says", "figures", "told"),
    [
        (alerts("level", "band_1"), "band_1, level", 2),
        (alerts(), "", 0),
        (b"no JSON", "", math.nan),
        (b'{"status": "error"}', "", math.nan),
    ],
    ids=["two fire", "none fires", "it is not itself", "it has not understood"],
)
def test_prometheus_says_whether_calls_drift(prometheus: Any, says: bytes, figures: str, told: float) -> None:
    prometheus.says = says
    numbers: list[float] = []
    watch = DriftWatch(f"http://127.0.0.1:{prometheus.server_port}/", numbers.append)
    assert watch.figures() == figures
    assert numbers == [pytest.approx(told, nan_ok=True)]
    prometheus.says = alerts("pitch")
    assert watch.figures() == figures, "it is asked every five minutes"


def test_without_a_prometheus_nothing_has_drifted() -> None:
    numbers: list[float] = []
    assert DriftWatch(None, numbers.append).figures() == ""
    assert not numbers
