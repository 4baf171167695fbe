"""A newcomer finds the place of a change from the folder list: each folder is in it, and says itself what it holds."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
FOLDERS = sorted(
    path.parent
    for top in ("undertone", "schemas", "producer", "worker", "trainer")
    for path in (ROOT / top).rglob("__init__.py")
)


def test_the_house_lists_each_folder_and_no_other() -> None:
    listed = re.findall(r"^\| `([a-z/]+)/` \|", PAGE, flags=re.M)
    assert sorted(listed) == [str(folder.relative_to(ROOT)) for folder in FOLDERS]


@pytest.mark.parametrize("folder", FOLDERS, ids=[str(folder.relative_to(ROOT)) for folder in FOLDERS])
def test_a_folder_says_what_it_holds(folder: Path) -> None:
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    assert said
    assert said.splitlines()[0].endswith((".", ":"))
