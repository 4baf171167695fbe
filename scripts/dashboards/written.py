"""The dashboards as the files that Grafana reads, and their panels as the console shows them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from scripts.dashboards import emotion, model, service
from scripts.dashboards.panels import BAD, GOOD, WATCH

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "grafana" / "dashboards"
FIGURES = ROOT / "undertone" / "console" / "web" / "boards.json"
NAMES = {GOOD: "good", WATCH: "watch", BAD: "bad"}


def written() -> dict[str, str]:
    """The text of each file, by its name."""
    boards = [service.dashboard(), emotion.dashboard(), model.dashboard()]
    return {f"{board.uid}.json": json.dumps(board, cls=JSONEncoder, indent=2) + "\n" for board in boards}


def figures() -> str:
    """What the console needs of all of them: it asks Prometheus the same, and draws it by itself."""
    boards = [json.loads(text) for text in written().values()]
    told = [
        {"name": board["uid"].removeprefix("undertone-"), "title": board["title"], "panels": list(_panels(board))}
        for board in boards
    ]
    return json.dumps(told, indent=1) + "\n"


def _panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    row = ""
    for panel in board["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
            continue
        defaults = panel["fieldConfig"]["defaults"] if "fieldConfig" in panel else {}
        hidden = [one["options"]["excludeByName"] for one in panel.get("transformations", ())]
        yield {
            "id": panel["id"],
            "row": row,
            "title": panel["title"],
            "text": panel["description"],
            "kind": panel["type"],
            "unit": defaults.get("unit") or panel.get("options", {}).get("yAxis", {}).get("unit", "short"),
            "stacked": defaults.get("custom", {}).get("stacking", {}).get("mode") == "normal",
            "levels": list(_levels(panel["type"], defaults)),
            "queries": [[target["expr"], target["legendFormat"].replace("__auto", "")] for target in panel["targets"]],
            "hidden": [name for one in hidden for name in one],
        }


def _levels(kind: str, defaults: dict[str, Any]) -> Iterator[list[Any]]:
    """From which value on a number is `good`, to `watch`, or `bad`: nothing where it has one level."""
    steps = defaults.get("thresholds", {}).get("steps", ()) if kind == "stat" else ()
    for step in steps if len(steps) > 1 else ():
        yield [step.get("value"), NAMES[step["color"]]]
