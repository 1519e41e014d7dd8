"""A sweep as one self-contained HTML page, in the style of a recording's report."""

from typing import NamedTuple

from mlxtop.core.facts import Facts
from mlxtop.report.render import render
from mlxtop.sweep.measurement import Measurement
from mlxtop.sweep.results import Summary
from mlxtop.sweep.store import to_json
from mlxtop.sweep.table import LEGEND, caption, full_grid, machine

MOOD = {"take": "calm", "same": "calm", "unknown": "open"}
HEADING = {"take": "Recommended", "same": "No difference", "unknown": "Cannot tell"}


class Chart(NamedTuple):
    """A chart's place on the page. There is one for each prompt length."""

    caption: str
    measured: bool
    """Whether there is data for the chart."""


def page(summary: Summary, facts: Facts, measurements: list[Measurement]) -> str:
    """Returns the page. It contains the whole sweep as JSON, for its charts and for other programs."""
    advice = summary.recommendation
    head, *rows = full_grid(summary)
    return render(
        "sweep/templates/sweep.html",
        subject=summary.plan.target.name,
        mood=MOOD[advice.verdict],
        heading=HEADING[advice.verdict],
        sentence=advice.sentence,
        charts=[_chart(summary, length) for length in range(len(summary.plan.lengths))],
        kind=summary.speed.kind,
        head=head,
        rows=rows,
        legend=LEGEND,
        notes=[*summary.notes, machine(summary, facts)],
        data=to_json(summary, facts, measurements),
    )


def _chart(summary: Summary, length: int) -> Chart:
    needed = {summary.plan.metric, "total"}
    measured = any(needed <= row.spreads.keys() for row in summary.of_length(length))
    return Chart(caption(summary, length), measured)
