"""A real Prometheus, Debian's, that scrapes what a test runs: once a second, with the rules of `deploy/`."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from tests.support.installation import wait_for
from tests.support.paths import ROOT
from undertone.devbroker.broker import free_port

RULES = [ROOT / "deploy" / "prometheus" / name for name in ("alerts.yml", "services.yml")]
_LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Prometheus:
    """It runs until it is closed. `waits` is what stands for each `for:` of the rules, which are minutes."""

    def __init__(self, directory: Path, ports: Mapping[str, int], waits: str) -> None:
        """`ports` is where each job's process on this machine serves its metrics."""
        program = shutil.which("prometheus")
        if program is None:
            pytest.fail("prometheus is missing: apt-get install prometheus, or Prometheus' own archive", pytrace=False)
        directory.mkdir(parents=True, exist_ok=True)
        for file in RULES:
            (directory / file.name).write_text(yaml.safe_dump(_hurried(file, waits)))
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [file.name for file in RULES],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for job, port in ports.items()
            ],
        }
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.port = free_port(0)
        self._log = directory / "prometheus.log"
        command = [
            program,
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(command, cwd=directory, stdout=output, stderr=subprocess.STDOUT)
        wait_for(self._ready, "Prometheus", said=lambda: self._log.read_text()[-4000:])

    def _ready(self) -> bool:
        try:
            with _LOCAL.open(f"http://127.0.0.1:{self.port}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def ask(self, path: str, **parameters: object) -> Any:
        """The data of an answer of its API; a query that is none fails."""
        query = urllib.parse.urlencode(parameters)
        with _LOCAL.open(f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}", timeout=60) as answer:
            return json.load(answer)["data"]

    def over(self, query: str, start: float, end: float) -> list[dict[str, Any]]:
        """A query's series from one moment to another, second by second."""
        found: list[dict[str, Any]] = self.ask("query_range", query=query, start=start, end=end, step=1)["result"]
        return found

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        alerts = self.ask("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _hurried(file: Path, waits: str) -> dict[str, Any]:
    rules: dict[str, Any] = yaml.safe_load(file.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = waits
    return rules
