"""The table of all sessions."""

from collections.abc import Mapping
from string import ascii_uppercase
from typing import NamedTuple

from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.builders.dashboard import FieldColor
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from mlxtop.serve import metrics as m

from . import panels as p
from . import queries as q

TEXT = {"type": "color-text"}
KNOWN = ("program", "model", "device", "backend", "mlx", "rank")
"""What the table tells of a session beside its numbers."""
ALONE = "&".join(
    (
        "/d/mlxtop?var-host=${__data.fields.instance}",
        "var-session=${__data.fields.session}",
        "${datasource:queryparam}",
        "${top:queryparam}",
        "${__url_time_range}",
    )
)
"""The board with the session of a row alone."""


class Column(NamedTuple):
    """A column: its name, what it asks, and the options of its field."""

    name: str
    query: str
    options: Mapping[str, object]


def _size(colour: str) -> dict[str, object]:
    return {"unit": p.BYTES, "color": p.fixed(colour).build(), "custom.cellOptions": TEXT}


def _columns() -> tuple[Column, ...]:
    words = {"mappings": p.in_words(), "custom.cellOptions": TEXT, "custom.width": 300}
    share = {
        "unit": "percentunit",
        "max": 1,
        "min": 0,
        "thresholds": p.SHARES.build(),
        "color": FieldColor().mode(model.FieldColorModeId.THRESHOLDS).build(),
        "custom.cellOptions": {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
    }
    return (
        Column("verdict", q.verdict(), words),
        Column("footprint", q.each(q.FOOTPRINT), {"unit": p.BYTES}),
        Column("active", q.each(q.ACTIVE), _size("active")),
        Column("cache", q.each(q.CACHE), _size("cache")),
        Column("outside of MLX", q.each(q.OUTSIDE), _size("beyond")),
        Column("peak", q.each(q.of(m.PEAK)), _size("peak")),
        Column("of its budget", q.each(f"{q.of(m.BUDGET_USED)} / {q.of(m.BUDGET)}"), share),
        Column("steps/s", q.each(q.rate(m.STEPS)), {"decimals": 1}),
        Column("last read", q.each(f"time() - {q.of(m.SAMPLED)}"), {"unit": "s", "decimals": 0}),
    )


def sessions() -> table.Panel:
    """Every session in a row, the largest first. A click on one shows it alone."""
    columns = _columns()
    *values, about = fields = [f"Value #{letter}" for letter in ascii_uppercase[: len(columns) + 1]]
    queries = [
        *(column.query for column in columns),
        f"max by (instance, session, {', '.join(KNOWN)}) ({q.INFO})",
    ]
    panel = (
        table.Panel()
        .title("Sessions")
        .description(
            "Every session that is watched now, the largest first. A click on its name shows it alone."
        )
        .datasource(p.SOURCE)
        .targets([_now(query, field[-1]) for query, field in zip(queries, fields, strict=True)])
        .with_transformation(model.DataTransformerConfig("merge", options={}))
        .with_transformation(
            model.DataTransformerConfig(
                "organize",
                options={
                    "excludeByName": {"Time": True, about: True},
                    "indexByName": {
                        name: i for i, name in enumerate(("session", "instance", *fields, *KNOWN))
                    },
                    "renameByName": {
                        value: column.name for value, column in zip(values, columns, strict=True)
                    },
                },
            )
        )
        .sort_by([common.TableSortByFieldState().display_name("footprint").desc(True)])
        .footer(common.TableFooterOptions().enable_pagination(True))
        .filterable(True)
        .no_value("—")
        .height(11)
        .span(24)
    )
    for column in columns:
        panel.override_by_name(
            column.name, [p.override(name, value) for name, value in column.options.items()]
        )
    # Its name stays the label's, which the link reads.
    panel.override_by_name("instance", [p.override("displayName", "host")])
    return panel.override_by_name(
        "session", [p.override("links", [{"title": "Show it alone", "url": ALONE}])]
    )


def _now(query: str, ref: str) -> Dataquery:
    return Dataquery().expr(query).ref_id(ref).instant().format(PromQueryFormat.TABLE)
