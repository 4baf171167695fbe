"""The kinds of panels that our dashboards have, all with one look: a title, what it means, a unit, a legend."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as prometheus_models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode

# Grafana's grid is 24 wide.
FULL, HALF, THIRD, QUARTER, SIXTH = 24, 12, 8, 6, 4
TALL, LOW = 8, 4
# Colours that people who see no red and green tell apart, too: from Okabe and Ito.
GOOD, WATCH, BAD = "#0072B2", "#E69F00", "#D55E00"
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")

Levels = Sequence[tuple[float | None, str]]
Panel = timeseries.Panel | heatmap.Panel | stat.Panel | table.Panel


@dataclass(frozen=True)
class Query:
    """What Prometheus is asked, and what the legend calls each series."""

    expr: str
    legend: str = ""


def board(uid: str, title: str, description: str) -> dashboard.Dashboard:
    """An empty dashboard that looks at the last hour, with a choice of Prometheus."""
    others = dashboard.DashboardLink("Undertone").tags(["undertone"]).type(models.DashboardLinkType.DASHBOARDS)
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["undertone"])
        .editable()
        .timezone("browser")
        .refresh("10s")
        .time("now-1h", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(others.keep_time(True))
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )


def built(board: dashboard.Dashboard) -> models.Dashboard:
    """The dashboard with numbers on its panels, by which a link finds one."""
    made = board.build()
    for number_, panel in enumerate(made.panels or (), start=1):
        panel.id_val = number_
    return made


def number(title: str, description: str, unit: str, query: str, levels: Levels = (), width: int = SIXTH) -> stat.Panel:
    """One number, with the colour of the level that it has reached."""
    panel = (
        stat.Panel()
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_mode(common_models.BigValueColorMode.VALUE)
        .graph_mode(common_models.BigValueGraphMode.AREA)
        .thresholds(_thresholds(levels or ((None, GOOD),)))
        .unit(unit)
        .height(LOW)
        .span(width)
        .no_value("-")
    )
    return panel.title(title).description(description).datasource(SOURCE).with_target(_target(Query(query), "A"))


def series(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    width: int = HALF,
    stacked: bool = False,
    bars: bool = False,
    levels: Levels = (),
) -> timeseries.Panel:
    """Lines over time; `stacked` for shares of a whole, `bars` for counts of rare things; a line at each level."""
    panel = (
        timeseries.Panel()
        .unit(unit)
        .height(TALL)
        .span(width)
        .min(0)
        .line_width(1)
        .fill_opacity(60 if stacked or bars else 8)
        .legend(_legend())
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
    )
    if bars:
        panel = panel.draw_style(common_models.GraphDrawStyle.BARS)
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    if levels:
        style = common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(_thresholds(levels)).thresholds_style(style)
    for at, query in enumerate(queries):
        panel = panel.with_target(_target(query, chr(ord("A") + at)))
    return panel.title(title).description(description).datasource(SOURCE)


def heat(title: str, description: str, unit: str, query: str, width: int = HALF) -> heatmap.Panel:
    """How many of a histogram's samples fell into each bucket, over time."""
    target = _target(Query(query, "{{le}}"), "A").format(prometheus_models.PromQueryFormat.HEATMAP)
    colours = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(32)
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(target)
        .color(colours)
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .cell_gap(1)
        .height(TALL)
        .span(width)
    )


def rows(title: str, description: str, query: str, hidden: Sequence[str], width: int = HALF) -> table.Panel:
    """A table of the labels of what is there now."""
    target = _target(Query(query), "A").format(prometheus_models.PromQueryFormat.TABLE).instant()
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(target)
        .with_transformation(
            models.DataTransformerConfig(id_val="organize", options={"excludeByName": dict.fromkeys(hidden, True)})
        )
        .height(TALL)
        .span(width)
    )


def _target(query: Query, ref: str) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery().expr(query.expr).legend_format(query.legend or "__auto").ref_id(ref).datasource(SOURCE)
    )


def _thresholds(levels: Levels) -> dashboard.ThresholdsConfig:
    # The first level has no value: it reaches down without an end.
    steps = [models.Threshold(value=value, color=colour) for value, colour in levels]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(common_models.LegendDisplayMode.TABLE)
        .placement(common_models.LegendPlacement.RIGHT)
        .calcs(["lastNotNull", "max"])
    )
