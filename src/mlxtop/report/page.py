"""The page: its parts put together."""

import time

from mlxtop import __version__
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.units import format_size, format_span
from mlxtop.recording.export import labels
from mlxtop.recording.reader import Recording
from mlxtop.report import sections
from mlxtop.report.chart_data import chart_data
from mlxtop.report.markup import Safe, joined, size, table, tag
from mlxtop.report.render import render
from mlxtop.report.sections import clock
from mlxtop.report.session_summary import SessionSummary, summarize


def page(recording: Recording) -> str:
    """The whole page, HTML. Reads the recording once: some 3 µs a sample."""
    from markupsafe import Markup

    names = labels(recording.sessions)
    began = min(about.started for about in recording.sessions)
    count = len(recording.sessions)
    stories = [
        summarize(recording, about, names[about.id], about.started - began, count)
        for about in recording.sessions
    ]
    data = {
        "began": began,
        "end": max(each.end for each in stories),
        "top": max(max(each.trace.hi["total"], default=0) for each in stories),
        "sessions": [chart_data(each) for each in stories],
    }
    return render(
        "report/templates/report.html",
        title=_title(recording, stories),
        body=Markup(_body(recording, stories)),
        data=data,
    )


def _title(recording: Recording, stories: list[SessionSummary]) -> str:
    title = stories[0].about.title
    return f"{title} and {len(stories) - 1} more" if len(stories) > 1 else title or recording.path.name


# The page


def _body(recording: Recording, stories: list[SessionSummary]) -> Safe:
    several = len(stories) > 1
    parts = [_head(recording, stories)]
    if several:
        parts += [tag("h2", "Sessions"), _overview(stories)]
    else:
        parts += [sections.verdicts(stories[0]), sections.key_figures(stories[0])]
    parts.append(_timeline(stories))
    parts += [_session(each, several) for each in stories]
    parts.append(_foot(recording))
    return joined(parts)


def _head(recording: Recording, stories: list[SessionSummary]) -> Safe:
    first = stories[0]
    span = max(each.end for each in stories)
    began = clock(min(each.about.started for each in stories))
    more = f", {len(stories)} sessions" if len(stories) > 1 else f"; {sections.ended(first)}"
    told = f"{began}, {format_span(span)}{more}"
    command = " ".join(map(str, first.about.command))
    return tag(
        "header",
        tag("p", f"mlxtop report · {recording.path.name}", class_="kicker"),
        tag("h1", _title(recording, stories)),
        tag("p", told, class_="sub"),
        tag("code", command, class_="command") if command else Safe(),
    )


def _overview(stories: list[SessionSummary]) -> Safe:
    rows = []
    for each in stories:
        last = each.last
        sizes = [getattr(last, name) if last else UNKNOWN for name in ("active", "cache", "total", "peak")]
        rows.append(
            [
                tag("th", tag("a", each.label, href=f"#session-{each.about.id}"), scope="row"),
                *(size(None if value == UNKNOWN else value) for value in sizes),
                each.diagnosis.line() if each.diagnosis else "—",
            ]
        )
    return table(["session", "active", "cache", "total", "peak", "verdict"], rows)


def _timeline(stories: list[SessionSummary]) -> Safe:
    buttons = (
        ("whole", "whole"), ("in", "+"), ("out", "−"), ("left", "◀"), ("right", "▶"),
    )  # fmt: skip
    names = {"in": "zoom in", "out": "zoom out", "left": "earlier", "right": "later"}
    tools = joined(
        tag("button", text, data_do=name, aria_label=names.get(name), title=names.get(name))
        for name, text in buttons
    )
    zero = tag("label", Safe('<input type="checkbox" id="zero" checked> '), "from zero")
    help_ = tag("span", "Drag to zoom, double click for the whole; a name in the legend hides its line.")
    several = len(stories) > 1
    charts = joined(
        tag(
            "div",
            tag("h3", each.label) if several else Safe(),
            id=f"chart-{each.about.id}", class_="chart", tabindex="0", role="img",
            aria_label=f"Memory and speed of {each.label} over time; the figures are in the tables below.",
        )
        for each in stories
    )  # fmt: skip
    return tag(
        "section",
        tag("h2", "Timeline"),
        tag("div", tools, zero, help_, class_="tools"),
        tag("div", charts, class_="charts several" if several else "charts"),
        tag("noscript", tag("p", "The timeline needs JavaScript; all the rest is below.", class_="quiet")),
        tag("p", _resolution(stories), class_="quiet"),
        id="timeline",
    )


def _resolution(stories: list[SessionSummary]) -> str:
    widths = {each.trace.width for each in stories}
    told = (
        "Each sample is drawn as it was taken."
        if widths == {0.0}
        else f"A point stands for {format_span(max(widths))}: a line is the lowest of it, the shade reaches "
        "to the highest, and of the phases the longest is shown. Finer detail is in the recording: mlxtop "
        "replay shows it."
    )
    return (
        f"{told} Under the chart: phases. Above it: ▼▲ limit, ✕ cache cleared, ↺ peak reset, ♻ gc.collect(), "
        "◆ mark, % budget, ! error; ⁺ stands for several."
    )


def _session(each: SessionSummary, several: bool) -> Safe:
    parts = [tag("h2", each.label), sections.verdicts(each), sections.key_figures(each)] if several else []
    parts += [
        tag("h2", "Growth"), sections.growth(each),
        tag("div",
            tag("div", tag("h2", "Peak by phase"), sections.phases(each)),
            tag("div", tag("h2", "Limits"), sections.limits(each)),
            class_="pair"),
        sections.census(each),
        tag("h2", "Events"), sections.events(each),
        sections.machine(each),
        tag("h2", "Program and machine"), sections.facts(each),
    ]  # fmt: skip
    return tag("section", *parts, id=f"session-{each.about.id}", class_="session")


def _foot(recording: Recording) -> Safe:
    damage = f"{found} " if (found := recording.damage_sentence()) else ""
    words = (
        "active: memory in live arrays. cache: freed buffers that MLX keeps for reuse. "
        "total: active + cache, what MLX holds. peak: the most active has been since the last reset. "
        "footprint: what the system charges the process. —: a number nobody knows."
    )
    made = (
        f"Made by mlxtop {__version__} on {clock(time.time())} from {recording.path.name} "
        f"({format_size(recording.path.stat().st_size)}, mlxtop {recording.about.get('mlxtop', '—')}). "
        f"{damage}It holds the command line and what is shown here; no prompts, replies or output."
    )
    return tag("footer", tag("p", words), tag("p", made))
