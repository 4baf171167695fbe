"""Every relative link in the documentation leads somewhere: to a file of the repository, and to a heading of it."""

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "samples").glob("*.md"))]
# [text](target) and ![text](target); targets of ours hold no spaces and no brackets.
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


def test_a_link_to_nothing_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One `word`\n\n[a](page.md#one-word) [b](#no) [c](none.md) `[d](e)` [f](https://example.org)\n")
    assert broken(page) == ["#no", "none.md"]


def test_every_page_is_in_the_index() -> None:
    """A page that nobody finds is a page that nobody keeps right."""
    docs = ROOT / "docs"
    linked = {(docs / target.partition("#")[0]).resolve() for target in LINK.findall(without_code(docs / "index.md"))}
    assert {page for page in docs.rglob("*.md") if page.name != "index.md"} <= linked
