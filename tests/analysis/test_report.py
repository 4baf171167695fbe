"""The page of `undertone analyze --format html`: bounded, the same each time, and drawn by a real browser."""

import html.parser
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from schemas.audio import Role
from schemas.events import Segment, Update
from tests.support.paths import SAMPLES
from undertone.analysis.analyze import AnalyzeOptions, analyze
from undertone.analysis.figures import packed, stream_figure
from undertone.analysis.report import Report
from undertone.analysis.timeline import MAX_BARS, MAX_POINTS, Timeline
from undertone.analysis.traces import CURVE_COLUMNS, ENVELOPE_COLUMNS, SPECTRUM_COLUMNS, Columns, Traces
from undertone.inference.model import Model

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def page() -> str:
    return make_page([SAMPLES / "call.flac", SAMPLES / "angry.flac", SAMPLES / "gone & <b>.wav"])


def make_page(paths: list[Path]) -> str:
    model = Model.load()
    report = Report(model.card, Console(quiet=True), analyze_agent=False)
    analyze([str(path) for path in paths], model, AnalyzeOptions(), report)
    return report.page()


class Tags(html.parser.HTMLParser):
    """Collects (tag, attributes) of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_page_refers_to_nothing_outside(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    links = [value for _, attributes in tags.seen for name, value in attributes.items() if name in ("src", "href")]
    assert links == ["data:,"]
    assert ("meta", "Content-Security-Policy") in [(tag, a.get("http-equiv")) for tag, a in tags.seen]


def test_page_shows_each_stream_and_the_model(page: str) -> None:
    for text in ("call/agent", "call/customer", "angry/customer", "Segments", "The model", "licence"):
        assert text in page
    assert Model.load().card.version in page
    assert "gone &amp; &lt;b&gt;.wav" in page


def test_page_is_the_same_each_time(page: str) -> None:
    assert make_page([SAMPLES / "call.flac", SAMPLES / "angry.flac", SAMPLES / "gone & <b>.wav"]) == page


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium here: apt-get install chromium")
def test_a_browser_draws_every_figure_without_a_complaint(page: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page)
    done = subprocess.run(
        [
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
            # Whatever would be fetched from outside fails, and is complained about.
            "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path}/profile",
            "--virtual-time-budget=20000", "--dump-dom", f"file://{tmp_path}/page.html",
        ],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert 'data-drawn="all"' in done.stdout
    figures = re.findall(r'<div class="figure[^>]*>(?=<div class="plot-container)', done.stdout)
    assert len(figures) == 3
    assert done.stdout.count('class="hm"') or "heatmaplayer" in done.stdout
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []


def test_pictures_do_not_depend_on_the_pieces() -> None:
    samples = np.random.default_rng(1).integers(-3000, 3000, 70_001).astype(np.int16)
    pictures = []
    for size in (70_001, 999, 4_000):
        traces = Traces(16_000)
        for start in range(0, samples.size, size):
            traces.add(samples[start : start + size])
        pictures.append(traces.finish())
    for picture in pictures[1:]:
        for name in ("envelope", "spectrum_db", "level_dbfs", "pitch_hz"):
            np.testing.assert_allclose(getattr(picture, name), getattr(pictures[0], name), rtol=1e-5, atol=1e-4)


def test_a_tone_is_drawn_where_it_sounds() -> None:
    seconds = np.arange(16_000) / 8_000
    tone = (8_000 * np.sin(2 * np.pi * 250 * seconds)).astype(np.int16)
    traces = Traces(8_000)
    traces.add(np.concatenate([np.zeros(16_000, np.int16), tone]))
    picture = traces.finish()
    sounding = np.arange(len(picture.spectrum_db)) * picture.spectrum_step >= 2.1
    assert (picture.spectrum_db[sounding].argmax(axis=1) * 31.25 == 250).all()
    assert picture.envelope[:, 1].max() == pytest.approx(8_000 / 32_768, rel=0.01)
    assert np.nanmedian(picture.pitch_hz) == pytest.approx(250, rel=0.01)
    assert picture.level_dbfs[0] == -120
    assert picture.level_dbfs[-2] == pytest.approx(20 * np.log10(8_000 / 32_768 / 2**0.5), abs=0.1)


def test_columns_merge_two_by_two() -> None:
    columns = Columns(1, 4)
    for value in range(11):
        columns.add(np.array([[float(value)]]))
    assert columns.rows_per_column == 4
    np.testing.assert_array_equal(columns.all(), [[0 + 1 + 2 + 3], [4 + 5 + 6 + 7], [8 + 9 + 10]])


def events(count: int) -> list[Update | Segment]:
    made: list[Update | Segment] = []
    for i in range(count):
        common = {
            "call_id": "c", "channel": "customer", "role": Role.CUSTOMER, "start_sample": i * 32_000,
            "sample_rate": 8_000, "label": "b" if i % 3 else "uncertain", "probabilities": {"a": 0.3, "b": 0.7},
            "speech_s": 1, "level_dbfs": -20.0, "pitch_hz": None, "model_version": "m",
        }  # fmt: skip
        made.append(Update.model_validate(common | {"end_sample": i * 32_000 + 8_000}))
        made.append(Segment.model_validate(common | {"end_sample": i * 32_000 + 16_000, "ended_by": "silence"}))
    return made


def test_areas_rise_only_while_somebody_speaks() -> None:
    timeline = Timeline(["a", "b"])
    for event in events(2):
        timeline.add(event)
    times, values = timeline.areas(8)
    np.testing.assert_allclose(times, [0, 0, 1, 2, 2, 4, 4, 5, 6, 6])
    np.testing.assert_allclose(values.sum(axis=1), [0, 1, 1, 1, 0, 0, 1, 1, 1, 0], rtol=1e-6)
    assert [(bar.start_s, bar.end_s, bar.label) for bar in timeline.bars(8)] == [(0, 2, "uncertain"), (4, 6, "b")]


def test_a_day_long_call_makes_a_page_of_bounded_size() -> None:
    timeline, seconds = Timeline(["a", "b"]), 86_400.0
    for event in events(21_600):
        timeline.add(event)
    times, values = timeline.areas(seconds)
    assert len(times) <= MAX_POINTS
    # Half of the time somebody speaks, and 0.7 of it is b.
    np.testing.assert_allclose(values.mean(axis=0), [0.15, 0.35], rtol=1e-3)
    assert len(timeline.bars(seconds)) <= MAX_BARS
    traces = Traces(8_000)
    for _ in range(60):
        traces.add(np.zeros(80_000, np.int16))
    picture = traces.finish()
    assert len(picture.envelope) <= ENVELOPE_COLUMNS
    assert len(picture.spectrum_db) <= SPECTRUM_COLUMNS
    assert len(picture.level_dbfs) <= CURVE_COLUMNS
    assert picture.spectrum_step * len(picture.spectrum_db) == pytest.approx(600, rel=0.01)
    assert len(str(stream_figure(picture, timeline))) < 1_000_000


def test_packed_arrays_say_their_type_and_shape() -> None:
    assert packed(np.array([[1.0, 2.0]]), "f4") == {"dtype": "f4", "bdata": "AACAPwAAAEA=", "shape": "1, 2"}
