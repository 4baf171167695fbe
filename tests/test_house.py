"""The house's rules: imports point down only, and a worker needs no TensorFlow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# From the top to the ground; a folder may import from the floors below its own.
FLOORS = (
    {"cli"},
    {"console", "trainer"},
    {"worker", "producer", "analysis"},
    {"messaging", "inference"},
    {"acoustics"},
    {"schemas"},
)
FLOOR_OF = {folder: number for number, folders in enumerate(FLOORS) for folder in folders}


def imports(path: Path) -> set[str]:
    """Top-level folders of ours that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        found |= {name.partition(".")[0] for name in names}
    return found & FLOOR_OF.keys()


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


@pytest.mark.parametrize("service", ["cli.worker", "worker.service", "producer.service", "analysis.analyze"])
def test_services_load_no_tensorflow(service: str) -> None:
    code = f"import sys, {service}; sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'sklearn')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_producer_loads_no_model() -> None:
    code = "import sys, producer.service; sys.exit(any(name.startswith('inference') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
