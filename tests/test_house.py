"""The house's rules: imports point down only, and a worker needs no TensorFlow."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.imports import modules
from tests.support.paths import ROOT

# From the top to the ground; a folder may import from the floors below its own.
FLOORS = (
    {"undertone/cli"},
    {"undertone/console"},
    {"trainer", "undertone/gateway", "undertone/sinks"},
    {"worker", "producer", "undertone/analysis", "undertone/erasure"},
    {"undertone/devbroker", "undertone/registry", "undertone/webhooks"},
    {"undertone/messaging", "undertone/observability", "undertone/inference", "undertone/storage"},
    {"undertone/acoustics"},
    {"schemas"},
)
# The same within the trainer: its rooms, and the modules at its top.
TRAINER_FLOORS = (
    {"service", "rebuild"},
    {"metrics", "report"},
    {"distillation", "compare", "train"},
    {"options"},
    {"evaluation", "packaging", "labelling"},
    {"training", "collection"},
    {"data"},
    {"quiet"},
)
TRAINER_FLOOR_OF = {room: number for number, rooms in enumerate(TRAINER_FLOORS) for room in rooms}
FLOOR_OF = {folder: number for number, folders in enumerate(FLOORS) for folder in folders}


def folder_of(module: str) -> str:
    """`undertone/inference` for undertone.inference.engine, `worker` for worker.loop."""
    parts = module.split(".")
    return "/".join(parts[:2]) if parts[0] == "undertone" else parts[0]


def imports(path: Path) -> set[str]:
    """Folders of ours that a file imports."""
    return {folder_of(name) for name in modules(path)} & FLOOR_OF.keys()


def room_of(module: str) -> str:
    """`data` for trainer.data.clips, `train` for trainer.train."""
    return f"{module}..".split(".")[1] if module.startswith("trainer.") else ""


def test_every_folder_has_its_floor() -> None:
    rooms = {f"undertone/{path.parent.name}" for path in (ROOT / "undertone").glob("*/__init__.py")}
    assert rooms == {folder for folder in FLOOR_OF if folder.startswith("undertone/")}


@pytest.mark.parametrize("folder", sorted(FLOOR_OF))
def test_imports_point_down(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    upward = [
        f"{path.relative_to(ROOT)} imports {other}"
        for path in files
        for other in imports(path) - {folder}
        if FLOOR_OF[other] <= FLOOR_OF[folder]
    ]
    assert not upward


def test_every_room_of_the_trainer_has_its_floor() -> None:
    rooms = {path.stem for path in (ROOT / "trainer").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert rooms - {"__init__", "__pycache__"} == TRAINER_FLOOR_OF.keys()


@pytest.mark.parametrize("room", sorted(TRAINER_FLOOR_OF))
def test_imports_within_the_trainer_point_down(room: str) -> None:
    folder = ROOT / "trainer" / room
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    upward = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module in modules(path)
        if (other := room_of(module)) in TRAINER_FLOOR_OF.keys() - {room}
        and TRAINER_FLOOR_OF[other] <= TRAINER_FLOOR_OF[room]
    ]
    assert files
    assert not upward


# What only the extras install: 700 MB for pages and figures, and 1.7 GB for training.
OF_EXTRAS = (
    "librosa",
    "numba",
    "llvmlite",
    "sklearn",
    "plotly",
    "jinja2",
    "matplotlib",
    "optuna",
    "tensorflow",
    "keras",
    "starlette",
    "sse_starlette",
    "uvicorn",
    "websockets",
)


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "service",
    [
        "undertone.cli.worker",
        "worker.service",
        "producer.service",
        "undertone.analysis.analyze",
        "undertone.console.demo",
        "undertone.console.tail",
    ],
)
def test_services_load_nothing_of_the_extras(service: str) -> None:
    assert run(f"import sys, {service}; print([name for name in {OF_EXTRAS} if name in sys.modules])") == "[]\n"


def test_the_producer_loads_no_scipy() -> None:
    assert run("import sys, producer.service; print('scipy' in sys.modules)") == "False\n"


def test_the_engine_hears_a_call_where_no_extra_is_installed() -> None:
    arguments = ["analyze", "samples/call.flac", "--format", "jsonl"]
    hear = f"from undertone.cli.main import main; sys.argv[1:] = {arguments}; main()"
    events = run(f"import sys; sys.modules.update(dict.fromkeys({OF_EXTRAS})); {hear}")
    assert len(events.splitlines()) > 10
    assert events == run(f"import sys; {hear}")


def test_the_producer_loads_no_model() -> None:
    code = "import sys, producer.service; sys.exit(any(name.startswith('undertone.inference') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
