"""`docs/reference/metrics.md` is the specification of the metrics: names, types and labels are those of the code."""

import re

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from producer.metrics import ProducerMetrics
from tests.support.paths import ROOT
from trainer.collection.metrics import CollectorMetrics
from trainer.metrics import TrainerMetrics
from trainer.rebuild.metrics import RebuildMetrics
from undertone.console.web.metrics import ConsoleMetrics
from undertone.gateway.metrics import GatewayMetrics
from undertone.sinks.metrics import SinkMetrics
from worker.metrics import WorkerMetrics

PAGE = (ROOT / "docs" / "reference" / "metrics.md").read_text()
# How the documentation names what the library keeps under another name.
SUFFIXES = {"counter": "_total", "info": "_info"}

Row = tuple[str, str, tuple[str, ...]]


def documented(section: str) -> set[Row]:
    """Name, type and labels of each row of a section's table."""
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(undertone_\w+)` \| (\w+) \| (.*?) ?\| ", text, flags=re.M)
    return {(name, kind, tuple(sorted(re.findall(r"`(\w+)`", labels)))) for name, kind, labels in rows}


def in_code(registry: CollectorRegistry) -> set[Row]:
    """The same of the metrics in a registry."""
    metrics = [metric for metric in registry._collector_to_names if isinstance(metric, MetricWrapperBase)]
    return {
        (
            metric._name + SUFFIXES.get(str(metric._type), ""),
            "gauge" if metric._type == "info" else str(metric._type),
            tuple(sorted(metric._labelnames)),
        )
        for metric in metrics
    }


@pytest.mark.parametrize(
    ("section", "registry"),
    [
        ("Worker", WorkerMetrics().registry),
        ("Producer", ProducerMetrics().registry),
        ("Gateway", GatewayMetrics().registry),
        ("Sinks", SinkMetrics().registry),
        ("Collector", CollectorMetrics().registry),
        ("Rebuilds", RebuildMetrics(CollectorRegistry()).registry),
        ("Console", ConsoleMetrics().registry),
        ("Trainer", TrainerMetrics().registry),
    ],
    ids=["worker", "producer", "gateway", "sinks", "collector", "rebuilds", "console", "trainer"],
)
def test_the_specification_and_the_code_agree(section: str, registry: CollectorRegistry) -> None:
    # What an Info tells are no labels of its own: prometheus shows them as such.
    told = {"undertone_model_info": ("name", "version"), "undertone_trainer_model_info": ("version",)}
    told["undertone_shadow_info"] = ("version",)
    assert {(name, kind, told.get(name, labels)) for name, kind, labels in in_code(registry)} == documented(section)
