"""The dashboards as the files that Grafana reads."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from scripts.dashboards import emotion, model, service

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "dashboards"


def written() -> dict[str, str]:
    """The text of each file, by its name."""
    boards = [service.dashboard(), emotion.dashboard(), model.dashboard()]
    return {f"{board.uid}.json": json.dumps(board, cls=JSONEncoder, indent=2) + "\n" for board in boards}
