"""`python -m monitoring.board` writes the board that Grafana reads."""

import json
from pathlib import Path
from typing import NamedTuple

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    CustomVariable,
    Dashboard,
    DatasourceVariable,
    QueryVariable,
    Row,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from mlxtop.serve import metrics as m

from . import panels as p
from . import queries as q
from .session_table import sessions

FILE = Path(__file__).parents[1] / "grafana" / "dashboards" / "mlxtop.json"


def board() -> Dashboard:
    """The whole board: who needs a look, who holds how much, what the work is like."""
    found = (
        Dashboard("MLX memory")
        .uid("mlxtop")
        .description("What mlxtop serve tells of the programs that use MLX.")
        .tags(["mlx", "mlxtop"])
        .time("now-3h", "now")
        .refresh("30s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .variables(
            [
                DatasourceVariable("datasource").label("Data source").type("prometheus"),
                _choice("host", f"label_values({m.INFO.name}, instance)"),
                _choice("session", f'label_values({m.INFO.name}{{instance=~"$host"}}, session)'),
                CustomVariable("top").label("Lines in a chart").values("5,10,20,50").current(_option("10")),
            ]
        )
    )
    _annotate(found)
    _summary(found)
    _memory(found)
    _work(found)
    return found


def _option(value: str) -> model.VariableOption:
    return model.VariableOption(selected=True, text=value, value=value)


def _choice(name: str, query: str) -> QueryVariable:
    """One of a label's values, several of them, or all."""
    return (
        QueryVariable(name)
        .label(name.capitalize())
        .datasource(p.SOURCE)
        .query(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.NATURAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


class Event(NamedTuple):
    """What is drawn as a line across all charts. Grafana fills in the labels."""

    name: str
    query: str
    title: str
    colour: str
    shown: bool


EVENTS = (
    # mlx-lm sets a limit around every generation, and clears the cache in each.
    Event(
        "Limit changes", q.of(m.LIMIT_CHANGES, 'source!="mlx_lm"'), "limit set by {{source}}", "limit", True
    ),
    Event("Cache clears", q.of(m.CLEARS), "cache cleared", "cache", False),
)


def _annotate(found: Dashboard) -> None:
    for event in EVENTS:
        found.annotation(
            AnnotationQuery()
            .name(event.name)
            .datasource(p.SOURCE)
            .enable(event.shown)
            .icon_color(p.COLOURS[event.colour])
            .expr(f"increase({event.query}[$__rate_interval]) > 0")
        )


def _summary(found: Dashboard) -> None:
    label = p.thresholds((None, "label"))
    for panel in (
        p.number("Watched", f"count({q.INFO})", "Programs that use MLX and are watched.", label),
        p.number(
            "Need a look",
            q.attention(),
            "Sessions with a verdict other than steady.",
            p.thresholds((None, "speed"), (1, "budget")),
        ),
        p.number(
            "Over their budget",
            q.over_budget(),
            "Sessions above the budget that was named for them. A dash: none has one.",
            p.thresholds((None, "speed"), (1, "alarm")),
        ),
        p.number(
            "Footprint", f"sum({q.FOOTPRINT})", "What the systems charge the processes.", label, p.BYTES
        ),
        p.number("Active", f"sum({q.ACTIVE})", "MLX's live arrays.", p.thresholds((None, "active")), p.BYTES),
        p.number(
            "Cache",
            f"sum({q.CACHE})",
            "Freed buffers that MLX keeps in order to use them again.",
            p.thresholds((None, "cache")),
            p.BYTES,
        ),
        sessions(),
    ):
        found.with_panel(panel)


def _memory(found: Dashboard) -> None:
    found.with_row(Row("Memory"))
    share = p.largest(
        "Share of the budget",
        "What counts against the budget, by default the footprint, as a share of it.",
        "percentunit",
        f"{q.of(m.BUDGET_USED)} / {q.of(m.BUDGET)}",
        nothing="No session has a budget: --budget names one.",
    )
    share.thresholds(p.SHARES).thresholds_style(p.DASHED)
    limits = p.chart(
        "Limits",
        "MLX's cache, memory and wired limit as they stand. One that is unlimited has no line.",
        p.BYTES,
        p.target(q.of_largest(f"{q.of(m.LIMIT)} < +Inf"), f"{p.SESSION}: {{{{limit}}}}"),
        nothing="No limit is known yet.",
    )
    for panel in (
        p.held(),
        p.largest(
            "The largest sessions",
            "The footprint of each, or what MLX holds where that is not known.",
            p.BYTES,
            q.SIZE,
        ),
        share,
        limits,
        p.verdicts(),
    ):
        found.with_panel(panel)


def _work(found: Dashboard) -> None:
    found.with_row(Row("Work"))
    steps = p.largest("Steps a second", "Calls of mx.eval and mx.async_eval.", "short", q.rate(m.STEPS))
    times = p.chart(
        "Time of a generation",
        "Its prompt included: half of the generations took no longer than the median.",
        "s",
        *(
            p.target(q.quantile(share), name, ref)
            for ref, share, name in (("A", 0.5, "median"), ("B", 0.9, "90 of 100"), ("C", 0.99, "99 of 100"))
        ),
        nothing="No session tells of generations.",
    )
    p.painted(times, {"median": "decode", "90 of 100": "budget", "99 of 100": "limit"})
    changes = p.chart(
        "Limits set, by whom",
        "mlx_lm sets the wired limit around every generation; program is any other code than mlxtop's.",
        "short",
        p.target(f"sum by (source) (increase({q.of(m.LIMIT_CHANGES)}[$__rate_interval]))", "{{source}}"),
    )
    clears = p.largest(
        "Cache cleared, times a minute",
        "By whoever: mlx-lm does after each 256 tokens, and after each part of a prompt.",
        "short",
        f"60 * {q.rate(m.CLEARS)}",
    )
    buffers = p.chart(
        "Live buffers",
        "Metal limits their number. They are counted while the program is traced; cached ones come on top.",
        "short",
        p.target(q.of_largest(q.of(m.BUFFERS)), p.SESSION, "A"),
        p.target(
            f"max by (instance) ({q.of(m.BUFFERS_LIMIT)} and on {q.EACH} {q.of(m.BUFFERS)})",
            "limit on {{instance}}",
            "B",
        ),
        nothing="No session is traced: mlxtop trace -- COMMAND counts buffers.",
    )
    for panel in (
        steps,
        times,
        p.step_peaks(),
        p.bars(changes),
        clears,
        p.dashed(buffers, "/^limit on/", "limit"),
    ):
        found.with_panel(panel)


def text() -> str:
    """The board as the file has it."""
    built = json.loads(json.dumps(board().build(), cls=JSONEncoder))
    for number, panel in enumerate(built["panels"], 1):
        panel["id"] = number
    # Prometheus' own fields, which the types lack.
    for event, annotation in zip(EVENTS, built["annotations"]["list"], strict=True):
        annotation |= {"titleFormat": event.title, "textFormat": p.SESSION}
    return json.dumps(built, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
