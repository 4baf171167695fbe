"""What the documentation links to or names is there: pages and their headings, files; and the pages that code names."""

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "samples").glob("*.md"))]
# [text](target) and ![text](target); targets of ours hold no spaces and no brackets.
FOLDERS = (
    "benchmarks",
    "deploy",
    "producer",
    "samples",
    "schemas",
    "scripts",
    "tests",
    "trainer",
    "undertone",
    "worker",
)
LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")


def without_code(page: Path) -> str:
    """The page without fenced blocks and code spans, where brackets are not links and # is not a heading."""
    fenced = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", lambda code: re.sub(r"[\[\]()]", "", code.group()), fenced)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, by GitHub's rule: lower case, no punctuation, hyphens for spaces."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", without_code(page), flags=re.M):
        anchor = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        count = 1
        while anchor in found:
            anchor = f"{re.sub(r'-[0-9]+$', '', anchor)}-{count}"
            count += 1
        found.add(anchor)
    return found


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    wrong = []
    for target in LINK.findall(without_code(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            wrong.append(target)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_of_a_page_works(page: Path) -> None:
    assert broken(page) == []


def test_every_file_that_a_page_names_is_there() -> None:
    """`worker/loop.py` and the like, which are no links."""
    name = re.compile(
        r"\b(?:benchmarks|deploy|producer|samples|schemas|scripts|tests|trainer|undertone|worker)/[\w./-]+"
    )
    named = {
        (str(page.relative_to(ROOT)), found)
        for page in PAGES
        for found in name.findall(page.read_text(encoding="utf-8"))
        if found.endswith((".py", ".sh", ".yml", ".zip", ".wav", ".flac"))
    }
    assert len(named) > 20
    assert [(page, file) for page, file in sorted(named) if not (ROOT / file).exists()] == []


def test_every_page_that_the_code_names_is_there() -> None:
    files = [ROOT / "Makefile", ROOT / "Dockerfile", *ROOT.glob("*.yml"), *ROOT.glob("*.toml")]
    files += [
        file for folder in FOLDERS for file in (ROOT / folder).rglob("*") if file.suffix in (".py", ".sh", ".yml")
    ]
    named = {
        (str(file.relative_to(ROOT)), found)
        for file in files
        for found in re.findall(r"\bdocs/[\w/-]+\.(?:md|json|png)\b", file.read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    assert [(file, page) for file, page in sorted(named) if not (ROOT / page).exists()] == []


def test_a_link_to_nothing_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One `word`\n\n[a](page.md#one-word) [b](#no) [c](none.md) `[d](e)` [f](https://example.org)\n")
    assert broken(page) == ["#no", "none.md"]


def test_every_page_is_in_the_index() -> None:
    """A page that nobody finds is a page that nobody keeps right."""
    docs = ROOT / "docs"
    linked = {(docs / target.partition("#")[0]).resolve() for target in LINK.findall(without_code(docs / "index.md"))}
    assert {page for page in docs.rglob("*.md") if page.name != "index.md"} <= linked
