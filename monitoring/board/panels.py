"""The charts and numbers of the board, and how they look."""

from collections.abc import Mapping

from grafana_foundation_sdk.builders import common, heatmap, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders.dashboard import FieldColor, ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from mlxtop.analysis.verdicts import VerdictKind
from mlxtop.serve import metrics as m
from mlxtop.tui import theme

from . import queries as q

COLOURS = {**theme.defaults(dark=True), "label": "text"}
"""mlxtop's, by their meaning. Grafana's own `text` can be read on both of its backgrounds."""
SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
SESSION = "{{session}} on {{instance}}"
BYTES = "bytes"
"""Grafana's name of KiB, MiB, GiB; `decbytes` are kB."""

PLAIN: Mapping[VerdictKind, tuple[str, str]] = {
    "not enough data": ("too early to say", "dim"),
    "steady": ("steady", "speed"),
    "swings": ("active swings up and down", "peak"),
    "spikes": ("active peaks far above its usual", "peak"),
    "thrash": ("a lowered limit costs speed", "limit"),
    "idle cache": ("the cache lies unused", "cache"),
    "cache hoard": ("the cache grows", "cache"),
    "not MLX": ("memory outside MLX grows", "alarm"),
    "buffers grow": ("the number of buffers grows", "alarm"),
    "active grows": ("live arrays grow", "alarm"),
    "not evaluated": ("arrays wait for an evaluation and keep memory", "alarm"),
    "over the limit": ("above a limit", "limit"),
    "limit overridden": ("the program overrode a limit", "limit"),
}
"""Each verdict in plain words, and the name of its colour in mlxtop."""


def target(query: str, legend: str = SESSION, ref: str = "A") -> Dataquery:
    return Dataquery().expr(query).legend_format(legend).ref_id(ref).range()


def fixed(colour: str) -> FieldColor:
    return FieldColor().mode(model.FieldColorModeId.FIXED).fixed_color(COLOURS[colour])


def override(name: str, value: object) -> model.DynamicConfigValue:
    """An option of a single series or column."""
    return model.DynamicConfigValue(name, value)


def _painted(colour: str) -> model.DynamicConfigValue:
    return override("color", fixed(colour).build())


def thresholds(*steps: tuple[float | None, str]) -> ThresholdsConfig:
    """From each value on its colour."""
    found = [model.Threshold(value, COLOURS[colour]) for value, colour in steps]
    return ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(found)


SHARES = thresholds((None, "speed"), (0.8, "budget"), (1.0, "alarm"))
"""Of a budget, at mlxtop's own levels."""
DASHED = common.GraphThresholdsStyleConfig().mode(look.GraphThresholdsStyleMode.DASHED)


def number(title: str, query: str, about: str, colour: ThresholdsConfig, unit: str = "short") -> stat.Panel:
    """One number, as it is now."""
    return (
        stat.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .with_target(Dataquery().expr(query).ref_id("A").instant())
        .unit(unit)
        .thresholds(colour)
        .color_scheme(FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .graph_mode(look.BigValueGraphMode.NONE)
        .color_mode(look.BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value("—")
        .height(4)
        .span(4)
    )


def chart(title: str, about: str, unit: str, *targets: Dataquery, nothing: str = "") -> timeseries.Panel:
    """Lines over time, the largest first in the legend."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .targets(list(targets))
        .unit(unit)
        .min(0)
        .max_data_points(300)
        .line_width(1)
        .fill_opacity(0)
        .show_points(look.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(look.LegendDisplayMode.TABLE)
            .placement(look.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
            .sort_by("Last *")
            .sort_desc(True)
        )
        .tooltip(
            common.VizTooltipOptions().mode(look.TooltipDisplayMode.MULTI).sort(look.SortOrder.DESCENDING)
        )
        .height(9)
        .span(12)
    )
    return panel.no_value(nothing) if nothing else panel


def dashed(panel: timeseries.Panel, series: str, colour: str) -> timeseries.Panel:
    """The series of that name is a limit: a dashed line that is neither stacked nor filled."""
    return panel.override_by_regexp(
        series,
        [
            _painted(colour),
            override("custom.lineStyle", common.LineStyle().fill("dash").dash([8, 6]).build()),
            override("custom.stacking", common.StackingConfig().mode(look.StackingMode.NONE).build()),
            override("custom.fillOpacity", 0),
        ],
    )


def painted(panel: timeseries.Panel, colours: Mapping[str, str]) -> timeseries.Panel:
    """Series by their name have mlxtop's colours."""
    for name, colour in colours.items():
        panel.override_by_name(name, [_painted(colour)])
    return panel


def held() -> timeseries.Panel:
    """Active, cache and the rest of the process, stacked under the budget."""
    panel = chart(
        "Who holds how much",
        "Live arrays, MLX's reusable cache, and what the processes hold outside of MLX: the chosen sessions "
        "together. With one chosen, its budget.",
        BYTES,
        target(f"sum({q.ACTIVE})", "active", "A"),
        target(f"sum({q.CACHE})", "cache", "B"),
        target(f"sum({q.OUTSIDE})", "outside of MLX", "C"),
        target(f"sum({q.of(m.BUDGET)}) and {q.ONE}", "budget", "D"),
    )
    panel.stacking(common.StackingConfig().mode(look.StackingMode.NORMAL)).fill_opacity(60)
    painted(panel, {"active": "active", "cache": "cache", "outside of MLX": "beyond"})
    return dashed(panel, "budget", "budget")


def largest(title: str, about: str, unit: str, query: str, nothing: str = "") -> timeseries.Panel:
    """A line for each of the largest sessions."""
    return chart(title, about, unit, target(q.of_largest(query)), nothing=nothing)


def in_words() -> list[model.ValueMapping]:
    """The numbers of the verdicts as words."""
    options = {
        str(code): model.ValueMappingResult(PLAIN[kind][0], COLOURS[PLAIN[kind][1]], index=code)
        for kind, code in q.CODES.items()
    }
    return [model.ValueMap(options)]


def verdicts() -> statetimeline.Panel:
    return (
        statetimeline.Panel()
        .title("What mlxtop says of each session")
        .description("The most important verdict at each moment: what `mlxtop top` has in its status row.")
        .datasource(SOURCE)
        .with_target(target(q.of_largest(q.verdict())))
        .mappings(in_words())
        .max_data_points(300)
        .show_value(look.VisibilityMode.AUTO)
        .merge_values(True)
        .row_height(0.8)
        .legend(common.VizLegendOptions().show_legend(False))
        .height(9)
        .span(24)
    )


def step_peaks() -> heatmap.Panel:
    return (
        heatmap.Panel()
        .title("Peak of each step")
        .description("How many steps needed how much at most: a second band is a second kind of work.")
        .datasource(SOURCE)
        .with_target(
            target(
                f"sum by (le) (increase({q.of(m.STEP_PEAK, suffix='_bucket')}[$__rate_interval]))", "{{le}}"
            ).format(PromQueryFormat.HEATMAP)
        )
        .calculate(False)
        .max_data_points(100)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.OPACITY)
            .fill(COLOURS["peak"])
            .scale(HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
        )
        .y_axis(heatmap.YAxisConfig().unit(BYTES))
        .cell_values(heatmap.CellValues().unit("suffix: steps").decimals(0))
        .no_value("No steps yet.")
        .height(9)
        .span(12)
    )


def bars(panel: timeseries.Panel) -> timeseries.Panel:
    """Counts, not a course: stacked bars."""
    return (
        panel.draw_style(look.GraphDrawStyle.BARS)
        .fill_opacity(80)
        .stacking(common.StackingConfig().mode(look.StackingMode.NORMAL))
    )
