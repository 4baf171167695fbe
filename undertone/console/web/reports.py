"""Reports of trainings, where the trainer's folder is at hand: by the version of the model that came of each."""

import json
from pathlib import Path

# As `undertone trainer` leaves them: a folder for each run, which counts once its decision is written.
_RUNS, _DECISION, _REPORT = "runs", "decision.json", "report.html"
# A page of somebody's making, shown as one without scripts, and of no origin of ours.
HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'"
}


class Reports:
    """Of the folder that is the trainer's `--out`; without one there are none."""

    def __init__(self, folder: Path | None) -> None:
        self._runs = folder / _RUNS if folder else None

    def by_version(self) -> dict[str, Path]:
        """Where the newest report of each version lies; what cannot be read is none."""
        found: dict[str, Path] = {}
        if self._runs is None or not self._runs.is_dir():
            return found
        # Their names begin with their time.
        for run in sorted(self._runs.iterdir()):
            try:
                version = json.loads((run / _DECISION).read_text(encoding="utf-8"))["candidate"]
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if isinstance(version, str) and version and (run / _REPORT).is_file():
                found[version] = run / _REPORT
        return found
