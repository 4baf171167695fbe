"""One worker for the fuzzer and the measurements: its process, what it needs, and its metrics."""

import re
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.processes import WORKER, Process
from tests.support.installation import wait_for
from undertone.messaging.settings import KafkaSettings

_METRICS = re.compile(r"metrics (?:on )?(http://\S+)")


class Worker(Process):
    """A worker process, or another `program` in its place; `variables` become UNDERTONE_<NAME>."""

    def __init__(
        self,
        settings: KafkaSettings,
        name: str,
        directory: Path,
        program: Sequence[str] = WORKER,
        **variables: object,
    ) -> None:
        environment = {
            "UNDERTONE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "UNDERTONE_TOPIC_PREFIX": settings.topic_prefix,
            "UNDERTONE_INSTANCE_ID": name,
            "UNDERTONE_METRICS_PORT": "0",
            "UNDERTONE_IDLE_SECONDS": "86400",
        }
        environment |= {f"UNDERTONE_{key.upper()}": str(value) for key, value in variables.items()}
        super().__init__(program, environment, directory / f"{name}.log")

    def ready(self) -> "Worker":
        """Wait until it reads its partitions."""
        wait_for(
            lambda: "ready:" in self.output or not self.running, "the worker to be ready", said=lambda: self.output
        )
        assert self.running, self.output
        return self

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels."""
        lines = self._metrics().splitlines()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in lines
            if re.match(rf"{name}(\{{| )", line) and all(label in line for label in wanted)
        )

    def labels(self, name: str, label: str) -> set[str]:
        """The values that a metric's label has."""
        return set(re.findall(rf'^{name}\{{.*{label}="([^"]*)"', self._metrics(), re.MULTILINE))

    def _metrics(self) -> str:
        found = _METRICS.search(self.output)
        assert found, self.output
        with urllib.request.urlopen(found[1], timeout=60) as answer:  # noqa: S310  (our own worker's address)
            return str(answer.read().decode())
