"""Extras and lock files: each kind of installation holds what it needs, and the smaller ones inside it."""

import re
import subprocess
import sys
from itertools import pairwise

import pytest

from tests.support.paths import ROOT

KINDS = ("runtime", "console", "analysis", "trainer", "dev")
OF_ANALYSIS = {"jinja2", "librosa", "plotly"}
OTHER_EXTRAS = ("gateway", "sink", "otel")
OF_TRAINER = {"matplotlib", "optuna", "scikit-learn", "tensorflow"}


def pins(name: str) -> dict[str, set[str]]:
    """What a lock file pins: package -> versions, more than one where they differ by platform."""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", lock(name), re.MULTILINE):
        found.setdefault(package, set()).add(version)
    return found


def lock(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.lock").read_text()


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [*pairwise(KINDS), *(pair for name in OTHER_EXTRAS for pair in (("runtime", name), (name, "dev")))],
)
def test_each_kind_holds_the_one_before_it(smaller: str, larger: str) -> None:
    inside, outside = pins(smaller), pins(larger)
    assert inside
    assert {name: outside.get(name) for name in inside} == inside


def test_the_runtime_holds_none_of_the_extras() -> None:
    assert not {"numba", "llvmlite", "scikit-learn", *OF_ANALYSIS, *OF_TRAINER} & pins("runtime").keys()
    assert pins("analysis").keys() >= OF_ANALYSIS
    assert not {"matplotlib", "optuna", "tensorflow"} & pins("analysis").keys()
    assert pins("trainer").keys() >= OF_TRAINER


def test_a_worker_that_sends_spans_has_the_packages_of_one_that_does_not() -> None:
    """pip takes both locks at once, for they agree."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "-r requirements/runtime.lock ${OTEL:+-r requirements/otel.lock}" in dockerfile
    assert {"opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"} <= pins("otel").keys() - pins(
        "runtime"
    ).keys()


def test_the_peers_compute_with_what_we_compute_with() -> None:
    """Else a comparison would be one of versions."""
    ours, theirs = pins("runtime"), pins("peers")
    for package in ("ai-edge-litert", "kafka-python", "numpy", "scipy"):
        assert theirs[package] == ours[package], package


@pytest.mark.parametrize("name", [*KINDS, *OTHER_EXTRAS, "build", "peers", "tflite-runtime"])
def test_every_package_is_hashed_and_no_registry_is_named(name: str) -> None:
    packages = re.findall(r"^[a-z0-9._-]+(?:\[.*\])?==.*(?:\n    .*)*", lock(name), re.MULTILINE)
    assert packages
    assert all("--hash=sha256:" in package for package in packages)
    assert "://" not in lock(name)


@pytest.mark.parametrize(
    ("program", "target"),
    [
        ("undertone.cli.main train --data x --out y", "install-trainer"),
        ("undertone.cli.main compare --data x --out y", "install-trainer"),
        ("undertone.cli.main analyze samples/calm.flac --format html", "install"),
        ("undertone.cli.main console", "install"),
        ("benchmarks", "install-trainer"),
        ("benchmarks.few_shot", "install-trainer"),
        ("benchmarks.network_cost", "install-trainer"),
        ("benchmarks.features", "install"),
    ],
)
def test_what_lacks_an_extra_names_the_make_target(program: str, target: str) -> None:
    module, *arguments = program.split()
    absent = {"keras", "librosa", "matplotlib", "optuna", "plotly", "sklearn", "starlette", "tensorflow"}
    code = f"""import sys, runpy
sys.modules.update(dict.fromkeys({absent}))
sys.argv = {["undertone", *arguments]}
sys.exit(runpy.run_module({module!r}, run_name="__main__").get("main", int)())"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in {1, 2}
    assert f"run `make {target}` in the clone" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
