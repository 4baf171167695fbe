"""One stream as a Plotly figure: segments, emotions, waveform, spectrogram, level and pitch over one time axis.

Figures are plain dictionaries for plotly.js; arrays go as base64 of their bytes, a quarter of their size as text.
"""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undertone.acoustics.spectrum import BIN_HZ, BINS
from undertone.analysis.colours import GREY, colour_of
from undertone.analysis.output import clock
from undertone.analysis.timeline import Bar, Timeline
from undertone.analysis.traces import Picture

_INK, _LINE, _WAVE, _PITCH = "#333b45", "#e4e7eb", "#8794a5", "#1f6fb2"
# Axis -> height in pixels, from the top. The strip of segments touches the emotions below it.
_EMOTION_ROWS = {"yaxis": 40, "yaxis2": 180}
_SOUND_ROWS = {"yaxis3": 90, "yaxis4": 134, "yaxis5": 106}
_SPACE = {"yaxis": 6, "yaxis2": 22, "yaxis3": 22, "yaxis4": 22, "yaxis5": 0}
_MARGIN = {"l": 58, "r": 52, "t": 8, "b": 40}
_AXIS = {"gridcolor": _LINE, "zeroline": False, "tickfont": {"size": 11}}
_SPECTRUM_RANGE_DB = 70
# plotly.js has few scales of even lightness built in; this is Matplotlib's magma at five points.
_MAGMA = [[0, "#000004"], [0.25, "#51127c"], [0.5, "#b73779"], [0.75, "#fc8961"], [1, "#fcfdbf"]]


def stream_figure(picture: Picture, timeline: Timeline) -> dict[str, Any]:
    """Data and layout for `Plotly.newPlot`; a stream without segments has no rows for emotions."""
    sound = [*_waveform(picture), _spectrogram(picture), *_curves(picture)]
    if not timeline.segments:
        return {"data": sound, "layout": _layout(picture.seconds, _SOUND_ROWS)}
    strip = _strip(timeline.bars(picture.seconds), timeline.labels)
    return {
        "data": [strip, *_emotions(timeline, picture.seconds), *sound],
        "layout": _layout(picture.seconds, _EMOTION_ROWS | _SOUND_ROWS),
    }


def packed(values: NDArray, dtype: str) -> dict[str, str]:
    """An array as plotly.js reads it: base64 of its little-endian bytes. `dtype` is one of its names (f4, i1 ...)."""
    array = np.ascontiguousarray(values, np.dtype(dtype).newbyteorder("<"))
    spec = {"dtype": dtype, "bdata": base64.b64encode(array.tobytes()).decode()}
    if array.ndim > 1:
        spec["shape"] = ", ".join(map(str, array.shape))
    return spec


def _strip(bars: list[Bar], labels: tuple[str, ...]) -> dict[str, Any]:
    # A white edge tells neighbours apart; where there are many it would hide the bars.
    edge = 1 if len(bars) < 100 else 0
    return {
        "type": "bar",
        "orientation": "h",
        "y": [0] * len(bars),
        "base": [round(bar.start_s, 3) for bar in bars],
        "x": [round(bar.end_s - bar.start_s, 3) for bar in bars],
        "width": 1,
        "marker": {"color": [colour_of(bar.label, labels) for bar in bars], "line": {"width": edge, "color": "white"}},
        "text": [bar.label for bar in bars],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "textfont": {"color": "white"},
        "hovertext": [_describe(bar) for bar in bars],
        "hoverinfo": "text",
        "yaxis": "y",
    }


def _describe(bar: Bar) -> str:
    lines = [f"<b>{bar.label}</b>  {clock(bar.start_s)} to {clock(bar.end_s)}"]
    if bar.event:
        ranked = sorted(bar.event.probabilities.items(), key=lambda item: -item[1])[:3]
        lines += [f"{label} {probability:.2f}" for label, probability in ranked]
    return "<br>".join(lines)


def _emotions(timeline: Timeline, seconds: float) -> list[dict[str, Any]]:
    times, values = timeline.areas(seconds)
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": label,
            "x": packed(times, "f4"),
            "y": packed(values[:, i], "f4"),
            "stackgroup": "emotions",
            "line": {"width": 0},
            "fillcolor": colour_of(label, timeline.labels),
            "hovertemplate": "%{y:.2f}",
            "yaxis": "y2",
        }
        for i, label in enumerate(timeline.labels)
    ]


def _waveform(picture: Picture) -> list[dict[str, Any]]:
    common = {
        "type": "scatter",
        "mode": "lines",
        "x0": picture.envelope_step / 2,
        "dx": picture.envelope_step,
        "line": {"width": 0.6, "color": _WAVE},
        "yaxis": "y3",
        "hoverinfo": "skip",
    }
    low, high = picture.envelope.T
    return [
        common | {"y": packed(low, "f4")},
        common | {"y": packed(high, "f4"), "fill": "tonexty", "fillcolor": _WAVE},
    ]


def _spectrogram(picture: Picture) -> dict[str, Any]:
    level = np.rint(picture.spectrum_db).T
    top = max(-40.0, float(level.max(initial=-120.0)))
    return {
        "type": "heatmap",
        "z": packed(level, "i1"),
        "x0": picture.spectrum_step / 2,
        "dx": picture.spectrum_step,
        "y0": 0,
        "dy": BIN_HZ / 1000,
        "zmin": top - _SPECTRUM_RANGE_DB,
        "zmax": top,
        "colorscale": _MAGMA,
        "showscale": False,
        "yaxis": "y4",
        "hoverinfo": "skip",
    }


def _curves(picture: Picture) -> list[dict[str, Any]]:
    common = {
        "type": "scatter",
        "x0": picture.curve_step / 2,
        "dx": picture.curve_step,
    }
    level = common | {
        "mode": "lines",
        "name": "level",
        "y": packed(picture.level_dbfs, "f4"),
        "line": {"width": 1.2, "color": GREY},
        "hovertemplate": "%{y:.0f} dBFS",
        "yaxis": "y5",
    }
    pitch = common | {
        "mode": "markers",
        "name": "pitch",
        "y": packed(picture.pitch_hz, "f4"),
        "marker": {"size": 3, "color": _PITCH},
        "hovertemplate": "%{y:.0f} Hz",
        "yaxis": "y6",
    }
    return [level, pitch]


def _layout(seconds: float, rows: dict[str, int]) -> dict[str, Any]:
    height = sum(rows.values()) + sum(_SPACE[name] for name in rows)
    axes: dict[str, dict[str, Any]] = {
        "yaxis": {"visible": False, "range": [-0.5, 0.5]},
        "yaxis2": {"title": {"text": "probability"}, "range": [0, 1], "dtick": 0.25},
        "yaxis3": {"title": {"text": "waveform"}, "nticks": 3},
        "yaxis4": {"title": {"text": "kHz"}, "range": [0, (BINS - 1) * BIN_HZ / 1000], "dtick": 1},
        "yaxis5": {"title": {"text": "level dBFS"}, "range": [-80, 0], "dtick": 20},
    }
    layout: dict[str, Any] = {
        "height": height + _MARGIN["t"] + _MARGIN["b"],
        "margin": _MARGIN,
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": _INK},
        "hovermode": "x unified",
        "bargap": 0,
        "uniformtext": {"mode": "hide", "minsize": 10},
        "showlegend": False,  # the summary above the figure names the colours
        "xaxis": _AXIS | {"range": [0, max(seconds, 0.1)], "anchor": "y5", "title": {"text": "seconds", "standoff": 4}},
    }
    top = 1.0
    for name, pixels in rows.items():
        bottom = top - pixels / height
        layout[name] = _AXIS | {"fixedrange": True, "domain": [max(0.0, bottom), top]} | axes[name]
        top = bottom - _SPACE[name] / height
    pitch = {
        "overlaying": "y5",
        "side": "right",
        "title": {"text": "pitch Hz", "font": {"color": _PITCH}},
        "range": [0, 400],
        "dtick": 100,
    }
    layout["yaxis6"] = _AXIS | {"fixedrange": True, "showgrid": False} | pitch
    return layout
