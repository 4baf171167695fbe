"""The file of rules: what is wrong in it is one line that says where."""

import re
from pathlib import Path

import pytest

from schemas.errors import UserError
from tests.support.paths import ROOT
from undertone.console.web.rules.file import Rules, read_rules


def example() -> str:
    """The file that the reference shows."""
    page = (ROOT / "docs" / "reference" / "rules.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```yaml\n(.*?)^```", page, flags=re.M | re.S)
    return str(text)


def read(tmp_path: Path, text: str) -> Rules:
    path = tmp_path / "rules.yml"
    path.write_text(text, encoding="utf-8")
    return read_rules(path)


def test_the_example_is_a_file_of_rules(tmp_path: Path) -> None:
    rules = read(tmp_path, example())
    assert [rule.words for rule in rules.rules] == [
        "customer: angry with 15 % or more and level +0.5 from their normal and arousal +0.5 from their normal, "
        "for 1 s of 2 s",
        "anybody: negative with 50 % or more and level +1.5 from their normal, for 3 s of 30 s",
        "anybody: arousal +2 from their normal, for 4 s of 30 s",
        "nobody speaks for 20 s, calls that begin with sales-",
        "both talk for 4 s of 15 s",
    ]
    assert {name: url.host for name, url in rules.urls.items()} == {
        "angry caller": "desk.example.com",
        "displeased and louder than usual": "desk.example.com",
        "dead air in sales": "desk.example.com",
        "both at once": "floor.example.com",
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: there is nothing in it"),
        ("rules:\n- name: a\n  silence: 5", "line 3: silence: a duration looks like 10 s, 1.5 s or 2 m"),
        ("rules:\n- name: a\n  silence: 5 s\n  silence: 6 s", "line 4: silence stands there twice"),
        ("rules:\n- name: a\n  emotion: angry\n\n  probability: 2", "line 5: probability: input should be less"),
        ("rules:\n- name: a\n  emotions: angry", "line 3: emotions is nothing that a rule has"),
        ("rules:\n- name: a\n  silence: 5 s\n- silence: 5 s", "line 4: name is missing"),
        ("rules:\n- name: a\n  silence: 5 s\n- name: a\n  silence: 6 s", "line 4: two rules are called a"),
        ("rules:\n- name: a\n", "line 2: a rule asks for one of"),
        ("rules:\n- name: a\n  silence: 5 s\n  overlap: 5 s", "line 2: a rule asks for one of"),
        ("rules:\n- name: a\n  silence: 5 s\n  role: agent", "line 2: for and role belong to"),
        ("rules:\n- name: a\n  emotion: angry\n  for: 9 s\n  within: 5 s", "line 2: within is shorter"),
        ("rules:\n- name: a\n  silence: 2 h", "line 3: silence: input should be less than or equal to 900"),
        ("rules:\n- name: a\n  shift: {loudness: 2}", "line 3: loudness is nothing that a rule has"),
        ("rules:\n- name: a\n  shift: {level: 0}", "line 3: shift: a shift names level, pitch or arousal"),
        ("rules:\n - name: a\n- silence", "line 3: "),
        ("rules: {", "line 1: "),
        ("rule:\n- name: a", "line 1: rule"),
        ("- name: a", "line 1: "),
        ("rules: []", "line 1: rules: "),
        ("webhook: http://example.com/x\nrules:\n- name: a\n  silence: 5 s", "line 1: webhook: http to example.com"),
        ("rules:\n- name: a\n  silence: 5 s\n  webhook: ftp://x", "line 4: webhook: it looks like https://"),
        ("rules:\n- name: a\n  silence: !!python/object/apply:os.system [ls]", "line 3: "),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, text)
    assert f"--rules {tmp_path / 'rules.yml'}, {told}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_is_one_line_too(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--rules .*nowhere\.yml: .*No such file"):
        read_rules(tmp_path / "nowhere.yml")


def test_http_is_taken_where_it_is_allowed(tmp_path: Path) -> None:
    text = "allow_http: true\nwebhook: http://example.com/x\nrules:\n- name: a\n  silence: 5 s"
    assert str(read(tmp_path, text).urls["a"]) == "http://example.com/x"
