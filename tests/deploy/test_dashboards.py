"""Grafana's dashboards as they are committed: what the script writes, by its types, and readable at night."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from scripts.dashboards.written import FIGURES, FOLDER, figures, written
from tests.deploy.test_alerts import RULES
from tests.support.paths import ROOT

FILES = sorted(FOLDER.glob("*.json"))
GRAFANA = ROOT / "deploy" / "grafana"

register_default_plugins()


def panels(file: Path) -> list[dict[str, Any]]:
    """Those that show something."""
    return [panel for panel in json.loads(file.read_text())["panels"] if panel["type"] != "row"]


def test_the_files_are_what_the_script_writes() -> None:
    assert {file.name: file.read_text() for file in FILES} == written(), "run python -m scripts.dashboards"
    assert FIGURES.read_text() == figures(), "run python -m scripts.dashboards"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_holds_nothing_that_grafana_s_types_do_not_know(file: Path) -> None:
    text = file.read_text()
    read = Dashboard.from_json(json.loads(text))
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == json.loads(text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_panel_says_what_it_shows(file: Path) -> None:
    shown = panels(file)
    titles = [panel["title"] for panel in shown]
    assert len(set(titles)) == len(titles)
    for panel in shown:
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
        if panel["type"] in ("stat", "timeseries"):
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        if panel["type"] == "timeseries":
            assert all(target["legendFormat"] != "__auto" for target in panel["targets"]), panel["title"]
        named = set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b", panel["description"])) & RULES.keys()
        assert "lert" not in panel["description"] or named or "severity" in panel["description"], panel["title"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_panels_do_not_lie_on_each_other(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(file.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert max(x for x, _ in cells) < 24 and not taken & cells, panel["title"]
        taken |= cells


def test_compose_gives_grafana_its_prometheus_and_the_dashboards() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "undertone.yml").read_text())["providers"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    mounted = dict(volume.split(":")[:2] for volume in compose["volumes"])
    assert mounted["./deploy/grafana/dashboards"] == provider["options"]["path"]
    assert mounted["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    assert compose["image"].startswith("grafana/grafana:11.6."), "the dashboards are written for it"
