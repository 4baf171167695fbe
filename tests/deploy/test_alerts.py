"""The alert rules on series that Prometheus' promtool plays to them: each fires for its cause, and for no other."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests.deploy.alert_cases import CASES, Case
from tests.support.paths import ROOT

FILES = [ROOT / "deploy" / "prometheus" / name for name in ("alerts.yml", "services.yml")]
PAGE = ROOT / "docs" / "reference" / "metrics.md"
RUNBOOK = ROOT / "docs" / "how-to" / "runbook.md"
RULES = {
    rule["alert"]: rule
    for file in FILES
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.fail("promtool is missing: apt-get install prometheus, or Prometheus' own archive", pytrace=False)
    return found


def test_alertmanager_s_example_routes_every_severity() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text())
    receivers = {receiver["name"] for receiver in config["receivers"]}
    (pages,) = config["route"]["routes"]
    assert pages["matchers"] == ["severity = page"]
    assert {config["route"]["receiver"], pages["receiver"]} == receivers
    named = str(config["inhibit_rules"])
    assert {name for name in RULES if name in named} == {
        "WorkerIsGone",
        "PartitionIsLeft",
        "WorkersAreFewer",
        "PartitionIsStuck",
        "AudioWaits",
    }


def test_prometheus_takes_the_configuration_with_all_rules(promtool: str) -> None:
    config = ROOT / "deploy" / "prometheus" / "prometheus.yml"
    assert yaml.safe_load(config.read_text())["rule_files"] == [file.name for file in FILES]
    done = subprocess.run([promtool, "check", "config", str(config)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_rules(promtool: str) -> None:
    done = subprocess.run([promtool, "check", "rules", *map(str, FILES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def all_right(promtool: str, tmp_path_factory: pytest.TempPathFactory) -> bool:
    """Whether all cases hold, asked at once: each start of promtool takes a second."""
    directory = tmp_path_factory.mktemp("promtool")
    return not any(
        failures(promtool, [case for case in CASES if case.interval == interval], directory)
        for interval in {case.interval for case in CASES}
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.what}")
def test_an_alert_fires_for_its_cause_alone(case: Case, all_right: bool, promtool: str, tmp_path: Path) -> None:
    if not all_right:
        assert not failures(promtool, [case], tmp_path)


def failures(promtool: str, cases: Sequence[Case], directory: Path) -> str:
    """What promtool says where an alert does not do what its case says; all of one interval."""
    file = directory / "test.yml"
    rules = {"rule_files": [str(file) for file in FILES], "evaluation_interval": cases[0].interval}
    file.write_text(yaml.safe_dump(rules | {"tests": [played(case) for case in cases]}))
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def played(case: Case) -> dict[str, object]:
    """A case as promtool takes it."""
    rule = RULES[case.alert]
    expected = [
        {
            "exp_labels": labels | rule["labels"],
            "exp_annotations": {"summary": said(case, labels), "runbook": rule["annotations"]["runbook"]},
        }
        for labels in case.fires
    ]
    return {
        "interval": case.interval,
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "alert_rule_test": [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected}],
    }


def said(case: Case, labels: dict[str, str]) -> str:
    """The summary with its labels and its value filled in, as Prometheus writes it."""
    text: str = RULES[case.alert]["annotations"]["summary"]
    either = r"{{ if \$labels\.(\w+) }}.*?{{ else }}(.*?){{ end }}"
    text = re.sub(either, lambda found: labels.get(found[1], found[2]), text)
    text = re.sub(r"{{ \$labels\.(\w+) }}", lambda found: labels.get(found[1], ""), text)
    return re.sub(r"{{ \$value.*?}}", case.value, text)


@pytest.mark.parametrize("name", RULES)
def test_every_alert_has_cases_a_line_in_the_reference_and_an_entry_in_the_runbook(name: str) -> None:
    fires = {bool(case.fires) for case in CASES if case.alert == name}
    assert fires == {True, False}
    assert f"| `{name}` |" in PAGE.read_text()
    assert RULES[name]["labels"]["severity"] in ("page", "ticket")
    assert RULES[name]["annotations"]["runbook"] == f"docs/how-to/runbook.md#{name.lower()}"
    entry = RUNBOOK.read_text().split(f"\n### {name}\n")[1].split("\n### ")[0]
    for part in ("Means:", "Look:", "Do:"):
        assert part in entry, part
