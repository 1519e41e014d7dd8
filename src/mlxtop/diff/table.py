"""A comparison as a table: its cells and the sentences below it, for text, Markdown and the screen."""

from itertools import groupby
from typing import NamedTuple

from mlxtop.core.text import one_line
from mlxtop.diff.comparison import Comparison, Row
from mlxtop.diff.measures import MEASURES, TIMED
from mlxtop.diff.run import WHOLE, Value

HEAD = ("", "A", "B", "difference", "")
LEFT = (0, 4)
"""Columns that are aligned left."""
MARKS = {"more": "▲", "less": "▼"}
WITHIN, CANNOT = "within noise", "cannot tell"
WIDEST = 1.0
"""An interval that reaches further than this share says nothing."""
MANY = 10.0
"""A larger share is told as a multiple."""
SITES = ("operation", "line")
MOST_SITES = 8
"""Operations and lines that are shown; --json has all."""
LONGEST, ARGUMENTS = 44, 60
"""Columns of a name, and of a command."""
NAMED = {"operation": "operations", "line": "lines"}
Cells = tuple[str, str, str, str, str]


class Line(NamedTuple):
    """A line of the table; `row` is `None` for a heading."""

    cells: Cells
    row: Row | None = None


def lines(comparison: Comparison) -> list[Line]:
    """The parts with their measures, each below its heading. What is not comparable is left out."""
    found = []
    comparable = [row for row in shown(comparison) if row.found != "not comparable"]
    for title, group in groupby(comparable, key=_heading):
        found.append(Line((cut(title), "", "", "", "")))
        found += [Line(cells(row), row) for row in group]
    return found


def _heading(row: Row) -> str:
    return NAMED.get(row.kind, row.part)


def shown(comparison: Comparison) -> list[Row]:
    """The rows but for sites of a trace that hold little and did not change."""
    kept = {
        id(row)
        for kind in SITES
        for row in sorted(
            (row for row in comparison.rows if row.kind == kind and row.measure == "live"),
            key=lambda row: (not row.changed, -abs(row.difference or 0), -max(_value(row.a), _value(row.b))),
        )[:MOST_SITES]
    }
    return [row for row in comparison.rows if row.kind not in SITES or id(row) in kept]


def _value(side: Value | None) -> float:
    return 0.0 if side is None else side.value


def cells(row: Row) -> Cells:
    """The name, both values, the difference, and what there is to say of it."""
    measure = MEASURES[row.measure]
    name = cut(row.part) if row.kind in SITES else measure.title
    a, b = (measure.format(None if side is None else side.value) for side in (row.a, row.b))
    return f"  {name}", a, b, *_difference(row)


def _difference(row: Row) -> tuple[str, str]:
    """The difference, and its share with the interval; of what is within noise, how much noise there is."""
    measure = MEASURES[row.measure]
    if row.difference is None or row.low is None or row.high is None:
        return "", ""
    share = row.relative(row.difference)
    timed = row.measure in TIMED
    ends = [row.relative(end) for end in (row.low, row.high)]
    interval = f"({_percent(ends[0])} to {_percent(ends[1])})" if timed else ""
    if not row.changed:
        if timed and (ends[1] or 0) > WIDEST:
            return "", f"  {CANNOT}"
        noise = interval or f"±{measure.format((row.high - row.low) / 2)}"
        return "", f"  {WITHIN} {noise}{_of(row)}"
    # A share of next to nothing says nothing.
    amount = _percent(share) if row.a is not None and row.a.value > row.a.noise else ""
    note = f"{MARKS[row.found]} {amount} {interval}".rstrip()
    return measure.format_difference(row.difference), f"{note}{_of(row)}"


def _of(row: Row) -> str:
    return f", of the {row.of}" if row.of else ""


def _percent(share: float | None) -> str:
    if share is None:
        return "—"
    return f"×{1 + share:,.0f}" if share >= MANY else f"{share * 100:+.1f} %"


def settings(comparison: Comparison) -> list[str]:
    """What holds for a whole run and differs, then what is the same."""
    lines = [
        f"{fact.name}: {cut(fact.a or '—', ARGUMENTS)} → {cut(fact.b or '—', ARGUMENTS)}"
        for fact in comparison.facts
        if fact.differs
    ]
    same = [
        f"{fact.name} {fact.a}" for fact in comparison.facts if fact.a == fact.b and fact.name != "command"
    ]
    lines += [f"The same: {', '.join(same)}."] if same else []
    unknown = [fact.name for fact in comparison.facts if None in (fact.a, fact.b)]
    return [*lines, *([f"Told by one side only: {', '.join(unknown)}."] if unknown else [])]


def not_comparable(comparison: Comparison) -> list[str]:
    """What is not comparable, by its reason: of the whole, and of parts of files of one kind."""
    reasons: dict[str, list[str]] = {}
    alike = comparison.a.kind == comparison.b.kind
    for row in comparison.rows:
        told = row.part == WHOLE or (alike and not (row.a is None and row.b is None))
        if row.found == "not comparable" and told:
            title = MEASURES[row.measure].title
            name = title if row.part == WHOLE else f"{row.part}'s {title}"
            reasons.setdefault(row.why, []).append(one_line(name))
    return [f"Not comparable: {_listed(names)} ({why})." for why, names in reasons.items()]


def _listed(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def cut(name: str, most: int = LONGEST) -> str:
    """A name of unknown origin; a path is told by its end."""
    name = one_line(name)
    return name if len(name) <= most else f"…{name[1 - most :]}"
