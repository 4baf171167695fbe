"""Results as tables for a terminal."""

from functools import partial

from rich.console import Console
from rich.table import Table
from rich.text import Text

from undertone.analysis.alarms import ALARMS, WITHIN_S, AngerInCalls
from undertone.analysis.evaluate import Evaluation
from undertone.analysis.unlabelled import Unlabelled

_MOST_STREAMS = 6  # more columns fit no terminal; --json has them all
_BEFORE = {"0": "none", "3": "3 to 9", "10": "10 or more"}
_HEARD = {"0": "UAR of the first", "3": "UAR after 3 to 9", "10": "UAR after 10 or more"}


def print_evaluation(result: Evaluation, console: Console) -> None:
    """Print scores, confusion matrix and what was left out."""

    say = partial(_say, console)
    by_speaker = result.uar_by_speaker
    where = "" if result.calls is None else f" in {result.calls} calls"
    say(f"{result.n} files{where}, {len(by_speaker)} speakers, {result.band}, model {result.model_version}")
    say(_expected(result))
    console.print(_scores(result))
    console.print(_confusion(result))
    if len(by_speaker) > 1:
        ranked = sorted(by_speaker, key=by_speaker.__getitem__)
        worst, best = ranked[0], ranked[-1]
        say(f"UAR by speaker: {by_speaker[worst]:.3f} ({worst}) to {by_speaker[best]:.3f} ({best})")
    for line in _remarks(result):
        say(line, "yellow")


def print_anger(result: AngerInCalls, console: Console) -> None:
    """Print how many angry files an alarm would find, and how often it would go off for nothing."""
    table = Table(title="Alarm of anger, as workers hear calls", title_justify="left", title_style="bold")
    table.add_column("utterances heard before")
    table.add_column("angry files", justify="right")
    table.add_column(f"found within {WITHIN_S:g} s", justify="right")
    for heard, share in result.found_within_3_s.items():
        table.add_row(_BEFORE[heard], str(result.n_angry[heard]), _percent(share))
    console.print(table)
    say = partial(_say, console)
    rate, minutes = _number(result.false_alarms_per_hour), result.quiet_hours * 60
    say(f"false alarms an hour: {rate}, in {minutes:.1f} minutes of neutral and calm files; {_expected(result)}")
    shares = ", ".join(f"{label} {_percent(share)}" for label, share in result.met_by_label.items())
    if shares:
        say(f"after 10 or more it is met in {shares}")


def print_unlabelled(result: Unlabelled, console: Console) -> None:
    """Print what the speech time divides into, and how often labels alarm and change."""
    minutes = f"{result.hours * 60:.1f} minutes, {result.speech_s / 60:.1f} of speech"
    _say(console, f"{result.calls} calls, {result.streams} streams, {minutes}, {result.band}")
    _say(console, f"model {result.model_version}; {_expected(result)}")
    console.print(_by_stream(result))
    for why in result.unreadable.values():
        _say(console, f"left out, not readable: {why}", "yellow")


def _by_stream(result: Unlabelled) -> Table:
    table = Table(title="Share of the speech time by label", title_justify="left", title_style="bold")
    table.add_column("")
    roles = {role: figures for role, figures in result.by_role.items() if len(result.by_role) > 1}
    columns = {"all": result.to_json(), **roles}
    if result.streams <= _MOST_STREAMS and result.streams > 1:
        columns |= result.by_stream
    for name in columns:
        table.add_column(name, justify="right", overflow="fold")
    for label in result.share:
        table.add_row(label, *(_percent(figures["share"][label]) for figures in columns.values()))
    table.add_section()
    for alarm in ALARMS:
        cells = (_number(figures["false_alarms_per_hour"][alarm]) for figures in columns.values())
        table.add_row(f"alarms of {alarm} an hour", *cells)
    flips = (_number(figures["label_flips_per_minute"]) for figures in columns.values())
    table.add_row("flips a minute of speech", *flips)
    return table


def _expected(result: Evaluation | Unlabelled | AngerInCalls) -> str:
    """The class prior, in words."""
    shares = {label: f"{share:.3g}" for label, share in result.class_prior.items()}
    if len(set(shares.values())) == 1:
        return "class prior: every label as often as any other"
    return f"class prior: {', '.join(f'{label} {share}' for label, share in shares.items())}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(line, style=style, highlight=False, markup=False, soft_wrap=True)


def _scores(result: Evaluation) -> Table:
    table = Table(show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("UAR", f"{result.uar:.3f}", "mean recall of the classes")
    table.add_row("accuracy", f"{result.accuracy:.3f}")
    table.add_row("macro F1", f"{result.macro_f1:.3f}")
    table.add_row("ECE", f"{result.ece:.3f}", "distance between confidence and accuracy")
    for seconds, value in result.uar_after_s.items():
        table.add_row(f"UAR after {seconds} s", f"{value:.3f}", "of speech")
    if result.calls is not None:
        for heard, (files, value) in result.after_utterances.items():
            table.add_row(_HEARD[heard], f"{value:.3f}", f"heard of the call before; {files} files")
    return table


def _confusion(result: Evaluation) -> Table:
    table = Table(title="Confusion matrix: rows are the truth", title_justify="left", title_style="bold")
    table.add_column("")
    for label in result.labels:
        table.add_column(label, justify="right")
    table.add_column("recall", justify="right")
    table.add_column("precision", justify="right")
    for label, counts in zip(result.labels, result.confusion_matrix, strict=True):
        total = max(1, sum(counts))
        cells = [
            Text(str(count), style=_shade(count / total, right=column == label))
            for column, count in zip(result.labels, counts, strict=True)
        ]
        scores = result.per_class[label]
        table.add_row(label, *cells, f"{scores['recall']:.2f}", f"{scores['precision']:.2f}")
    return table


def _shade(share: float, *, right: bool) -> str:
    if share < 0.02:
        return "dim"
    if right:
        return "bold green"
    return "bold red" if share >= 0.2 else ""


def _remarks(result: Evaluation) -> list[str]:
    lines = []
    if result.masked_labels:
        lines.append(f"not in the manifest, so left out of the answers: {', '.join(result.masked_labels)}")
    if result.unknown_labels:
        counts = ", ".join(f"{label} ({count})" for label, count in result.unknown_labels.items())
        total = sum(result.unknown_labels.values())
        lines.append(f"{total} files left out, the model does not know their label: {counts}")
    if result.without_speech:
        lines.append(f"{result.without_speech} files without speech: counted, with equal probabilities")
    if result.unreadable:
        lines.append(f"{len(result.unreadable)} files left out, not readable:")
        lines += [f"  {why}" for why in result.unreadable.values()]
    return lines
