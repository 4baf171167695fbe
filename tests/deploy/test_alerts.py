"""The alert rules on series that Prometheus' promtool plays to them: each fires for its cause, and for no other."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.support.paths import ROOT

RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
PAGE = ROOT / "docs" / "reference" / "metrics.md"
NAMES = [rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


@dataclass(frozen=True)
class Case:
    """What Prometheus has scraped, a sample every half minute, and whether the alert fires at a time."""

    alert: str
    what: str
    series: dict[str, str]
    at: str
    fires: tuple[dict[str, str], ...] = ()


UP = 'up{job="worker",instance="a"}'
LAG = 'undertone_lag_records{instance="a",partition="0"}'
CHUNKS = 'undertone_chunks_total{instance="a"}'
STALLED = 'undertone_stalled_seconds{instance="a",partition="0"}'
ERRORS = 'undertone_errors_total{{stage="{}",error_type="E",instance="a"}}'
SESSIONS = 'undertone_sessions_total{instance="a"}'
STARTED = 'process_start_time_seconds{job="worker",instance="a"}'
DELAY = 'undertone_event_delay_seconds_bucket{{le="{}"}}'
LETTERS = 'undertone_dead_letters_total{reason="empty"}'
MODELS = 'undertone_models_total{outcome="crashed"}'
CHAMPION = 'undertone_champion_refused{instance="a"}'
Fired = tuple[dict[str, str], ...]
ANY: Fired = ({},)
A: Fired = ({"instance": "a"},)

# promtool's notation: "5+10x20" is 5, 15, 25 ...; "_x20" is 20 times nothing.
CASES = [
    Case("WorkersFallBehind", "steady and far behind", {LAG: "4000x40", CHUNKS: "0+3000x40"}, "15m", ANY),
    Case("WorkersFallBehind", "nothing is heard", {LAG: "2x40", CHUNKS: "100x40"}, "15m", ANY),
    Case("WorkersFallBehind", "no worker has counted yet", {LAG: "2x40"}, "15m", ANY),
    Case("WorkersFallBehind", "a busy worker", {LAG: "50x40", CHUNKS: "0+3000x40"}, "15m"),
    Case("WorkersFallBehind", "all is heard", {LAG: "0x40", CHUNKS: "100x40"}, "15m"),
    Case("PartitionIsStuck", "for long", {STALLED: "0+30x20"}, "5m", ({"instance": "a", "partition": "0"},)),
    Case("PartitionIsStuck", "for a moment", {STALLED: "0 30 60 0 0 0 0 0 0 0 0"}, "5m"),
    Case("PartitionIsLeft", "its worker is gone", {STALLED: "0x10 _x30"}, "18m", ({"partition": "0"},)),
    Case(
        "PartitionIsLeft",
        "another worker has it",
        {STALLED: "0x10 _x30", STALLED.replace('"a"', '"b"'): "_x10 0x30"},
        "18m",
    ),
    Case("EventsAreLate", "none", {DELAY.format(1): "0+100x40", DELAY.format("+Inf"): "0+100x40"}, "15m"),
    Case(
        "EventsAreLate",
        "one in ten",
        {DELAY.format(1): "0+90x40", DELAY.format(5): "0+100x40", DELAY.format("+Inf"): "0+100x40"},
        "15m",
        ANY,
    ),
    Case("EngineFails", "its first error", {UP: "1x40", ERRORS.format("engine"): "_x20 1x20"}, "12m", A),
    Case("EngineFails", "one more error", {ERRORS.format("engine"): "1x20 2x20"}, "12m", A),
    Case("EngineFails", "an error of long ago", {ERRORS.format("engine"): "1x80"}, "35m"),
    Case("EngineFails", "another place", {ERRORS.format("kafka"): "_x20 1x20"}, "12m"),
    Case("KafkaFails", "again and again", {ERRORS.format("kafka"): "0+1x40"}, "15m", A),
    Case("KafkaFails", "a broker's restart", {ERRORS.format("kafka"): "0x20 1x40"}, "15m"),
    Case("WorkerRestarts", "it joins each minute", {SESSIONS: "0+1x20 _x20"}, "9m", A),
    Case("WorkerRestarts", "its supervisor starts it", {STARTED: "1x10 2x10 3x10 4x10"}, "19m", A),
    Case("WorkerRestarts", "it has joined once", {SESSIONS: "0 1x40", STARTED: "1x40"}, "15m"),
    Case("DeadLetters", "many", {LETTERS: "0x10 20x30"}, "8m", ({"reason": "empty"},)),
    Case("DeadLetters", "a few", {LETTERS: "0x10 2x30"}, "8m"),
    Case("BadModel", "a bundle that crashes", {MODELS: "0x10 1x30"}, "8m", ({"outcome": "crashed"},)),
    Case("BadModel", "none", {MODELS: "0x40"}, "8m"),
    Case("ChampionIsRefused", "for minutes", {CHAMPION: "0x10 1x30"}, "9m", ({"instance": "a"},)),
    Case("ChampionIsRefused", "while it comes", {CHAMPION: "0x10 1x2 0x30"}, "9m"),
    Case("WorkerIsGone", "it does not answer", {UP: "1x10 0x30"}, "8m", ({"job": "worker", "instance": "a"},)),
    Case("WorkerIsGone", "its container is gone", {UP: "1x10 stale _x30"}, "8m", ({"job": "worker"},)),
    Case("WorkerIsGone", "there has never been one", {LAG: "0x40"}, "8m", ({"job": "worker"},)),
    Case("WorkerIsGone", "it is there", {UP: "1x40"}, "8m"),
    Case("WorkersAreFewer", "one of two is gone", {UP: "1x40", UP.replace('"a"', '"b"'): "1x10 stale _x30"}, "9m", ANY),
    Case("WorkersAreFewer", "one more", {UP: "1x40", UP.replace('"a"', '"b"'): "_x10 1x30"}, "9m"),
]


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.fail("promtool is missing: apt-get install prometheus, or Prometheus' own archive", pytrace=False)
    return found


def test_the_rules_are_rules(promtool: str) -> None:
    done = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.what}")
def test_an_alert_fires_for_its_cause_alone(case: Case, promtool: str, tmp_path: Path) -> None:
    expected = [{"exp_labels": labels, "exp_annotations": {"summary": said(case, labels)}} for labels in case.fires]
    test = {
        "interval": "30s",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "alert_rule_test": [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected}],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "30s", "tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def said(case: Case, labels: dict[str, str]) -> str:
    """The summary with its labels filled in, as Prometheus writes it."""
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    text: str = next(rule for rule in rules if rule["alert"] == case.alert)["annotations"]["summary"]
    either = r"{{ if \$labels\.(\w+) }}.*?{{ else }}(.*?){{ end }}"
    text = re.sub(either, lambda found: labels.get(found[1], found[2]), text)
    text = re.sub(r"{{ \$labels\.(\w+) }}", lambda found: labels.get(found[1], ""), text)
    return text.replace("{{ $value }}", "1")


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_cases_and_a_line_in_the_docs(name: str) -> None:
    fires = {bool(case.fires) for case in CASES if case.alert == name}
    assert fires == {True, False}
    assert f"| `{name}` |" in PAGE.read_text()
