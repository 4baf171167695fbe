"""The committed figures are whole, and the README says what they say."""

import json
from typing import Any

import pytest

from benchmarks.peers.run import PEERS
from benchmarks.report import PEER_NAMES, README, RESULT, goals, peers, with_figures


@pytest.fixture
def found() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(RESULT.read_text())
    return result


def test_the_result_has_every_figure(found: dict[str, Any]) -> None:
    for name in ("streams_per_core", "streams_per_core_call", "bytes_per_stream", "start_s", "catch_up"):
        assert found[name] > 0, name
    assert found["changelog_bytes_per_stream_s"] > 0
    for name in ("latency_ms", "latency_light_ms"):
        assert 0 < found[name]["p50"] <= found[name]["p99"], name
    assert found["scaling"]["1"] == 1
    assert found["peers"].keys() == PEERS.keys() == PEER_NAMES.keys()
    assert all(one["streams_per_core"] > 0 for one in found["peers"].values())
    assert {"network", "pitch", "log_mel", "events", "kafka"} < found["stages"].keys()
    assert all(one.keys() == {"us", "floor_us"} for one in found["stages"].values())
    assert found["machine"]["load"]["cores_busy"] > 0
    assert {"python", "kafka", "numpy", "ai-edge-litert", "quixstreams", "opensmile"} < found["versions"].keys()


def test_the_readme_has_the_figures_of_the_result(found: dict[str, Any]) -> None:
    readme = README.read_text()
    assert f"{found['streams_per_core']:,}" in readme
    assert with_figures(readme, found) == readme  # else: make docs


def test_the_readme_would_follow_another_result(found: dict[str, Any]) -> None:
    assert "| **987,654** |" in with_figures(README.read_text(), found | {"streams_per_core": 987_654})


def test_the_tables_have_a_line_for_each_figure(found: dict[str, Any]) -> None:
    assert goals(found).row_count == 10
    assert peers(found).row_count == 1 + len(PEERS)
