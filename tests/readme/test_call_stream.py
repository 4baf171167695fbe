"""The README's lines for other people's code run as they are printed."""

import re
import subprocess
import sys

from tests.support.paths import ROOT


def test_the_lines_in_your_own_code_run() -> None:
    section = (ROOT / "README.md").read_text().partition("## In your own code")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *segments, summary = done.stdout.splitlines()
    assert len(segments) >= 4
    assert all(re.fullmatch(r" *\d+\.\d s  segment: [a-z]+", line) for line in segments)
    assert re.fullmatch(r"  0\.0 s  summary: [a-z]+", summary)
