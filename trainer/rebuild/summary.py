"""A decision for the terminal."""

from rich.table import Table
from rich.text import Text

from trainer.rebuild.runs import Decision

_HOW = {None: ("not made", "dim"), True: ("passed", "green"), False: ("failed", "bold red")}


def checks_table(decision: Decision) -> Table:
    """Each check with its figures."""
    table = Table("check", "", "candidate", "champion", "90% of draws", "on what", title=decision.candidate)
    for check in decision.checks:
        how, style = _HOW[check.passed]
        draws = "" if check.low is None or check.high is None else f"{check.low:+.3f} to {check.high:+.3f}"
        figures = ("" if figure is None else f"{figure:.4g}" for figure in (check.candidate, check.champion))
        table.add_row(Text(check.about), Text(how, style=style), *figures, draws, Text(check.why))
    return table
