"""What other people's code may rely on: the names of `undertone`, how they are loaded, and what the wheel holds."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import undertone
from tests.support.paths import ROOT

NAMES = {"CallStream", "Engine", "EventEnvelope", "Model", "Segment", "Summary", "Update", "__version__"}


def test_these_names_and_no_others() -> None:
    assert set(undertone.__all__) == NAMES
    assert all(getattr(undertone, name) for name in NAMES)
    with pytest.raises(AttributeError, match="no attribute 'Worker'"):
        undertone.Worker  # type: ignore[attr-defined]  # noqa: B018


def test_the_page_has_them_all() -> None:
    rows = [
        line for line in (ROOT / "docs" / "reference" / "library.md").read_text().splitlines() if line.startswith("| `")
    ]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])} == NAMES


def test_importing_it_loads_nothing() -> None:
    code = "import sys, undertone; print(*(name for name in ('numpy', 'pydantic', 'schemas') if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.slow
def test_a_type_checker_sees_them(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(
        "import undertone\n"
        "reveal_type(undertone.CallStream(undertone.Model.load()).end())\n"
        "reveal_type(undertone.__version__)\n"
        "undertone.Worker\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "--follow-imports=silent", "user.py"],
        cwd=tmp_path,
        env={"MYPYPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    told = done.stdout
    assert re.search(r'is "(builtins\.)?list\[schemas\.events\.EventEnvelope\]"', told), told + done.stderr
    assert re.search(r'is "(builtins\.)?str"', told)
    assert 'Module has no attribute "Worker"' in told


def test_the_wheel_holds_what_the_code_reads(tmp_path: Path) -> None:
    source, folders = tmp_path / "source", ("undertone", "schemas", "producer", "worker", "trainer")
    for folder in folders:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    files = {str(path.relative_to(source)) for folder in folders for path in (source / folder).rglob("*.*")}

    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=source, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == files
    assert {"undertone/py.typed", "schemas/py.typed", "undertone/inference/bundles/default.zip"} <= held
    assert {Path(name).suffix for name in held} >= {".html", ".xml"}
