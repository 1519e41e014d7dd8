"""A comparison as text and as Markdown."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from textwrap import wrap

from mlxtop.core import markdown
from mlxtop.core.text import one_line
from mlxtop.core.units import format_clock
from mlxtop.diff.comparison import Comparison, Row
from mlxtop.diff.condition import Judgement
from mlxtop.diff.measures import MEASURES
from mlxtop.diff.run import KINDS, WHOLE, Run
from mlxtop.diff.story import sentence
from mlxtop.tui.tables import aligned

HEAD = ("", "A", "B", "difference", "")
MANY = 10.0
"""A larger share is told as a multiple."""
MARKS = {"more": "▲", "less": "▼", "same": "", "not comparable": ""}
WITHIN, CANNOT = "within noise", "cannot tell"
WIDEST = 1.0
"""An interval that reaches further than this share says nothing."""
SITES = ("operation", "line")
MOST_SITES = 8
"""Operations and lines that are shown; --json has all."""
LONGEST, ARGUMENTS = 44, 60
"""Columns of a name, and of a command."""
NAMED = {"operation": "operations", "line": "lines"}


def text(comparison: Comparison, width: int | None = None) -> str:
    """What changed, the two runs, the table, and the rest. Without `width` no line is wrapped."""
    blocks = [_wrapped([sentence(comparison)], width), _runs(comparison), _table(comparison)]
    blocks.append(_wrapped([*_settings(comparison), *_not_comparable(comparison)], width))
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def in_markdown(comparison: Comparison, judgements: Sequence[Judgement] = ()) -> str:
    """The same for a pull request: what changed, then the whole table folded away."""
    a, b = (run.path.name for run in (comparison.a, comparison.b))
    lines = [f"**{_safe(sentence(comparison))}**", ""]
    lines += [f"- {_safe(line)}" for line in verdicts(judgements)]
    lines += [""] if judgements else []
    changed = [row for row in _shown(comparison) if row.changed]
    if changed:
        lines += [*_grid(changed, a, b), ""]
    lines += [f"<details><summary>All measures: A is {_safe(a)}, B is {_safe(b)}</summary>", ""]
    lines += [*_grid([row for row in _shown(comparison) if row.found != "not comparable"], a, b), ""]
    lines += [f"- {_safe(line)}" for line in (*_settings(comparison), *_not_comparable(comparison))]
    return "\n".join([*lines, "", "</details>"])


def verdicts(judgements: Iterable[Judgement]) -> list[str]:
    """Each condition with what became of it."""
    words = {True: "failed", False: "passed", None: "not comparable"}
    return [f"{words[found.holds]}: {one_line(found.condition.text)}: {found.why}" for found in judgements]


def _safe(line: str) -> str:
    return markdown.escape(line).replace("*", "\\*").replace("_", "\\_")


def _runs(comparison: Comparison) -> list[str]:
    return aligned([("A", *_about(comparison.a)), ("B", *_about(comparison.b))], left=(0, 1, 2, 3))


def _about(run: Run) -> tuple[str, str, str]:
    span = "" if run.seconds is None else f" of {format_clock(run.seconds)}"
    return one_line(str(run.path)), f"{KINDS[run.kind]}{span}", _cut(run.title)


# The table


def _table(comparison: Comparison) -> list[str]:
    rows: list[Sequence[str]] = []
    for title, those in _parts(comparison):
        rows += [(title, "", "", "", ""), *those]
    return aligned([HEAD, *rows], left=(0, 4)) if rows else []


def _parts(comparison: Comparison) -> Iterator[tuple[str, list[Sequence[str]]]]:
    """The rows below each heading."""
    shown = [row for row in _shown(comparison) if row.found != "not comparable"]
    for title, group in groupby(shown, key=_heading):
        yield _cut(title), [_line(row) for row in group]


def _heading(row: Row) -> str:
    return NAMED.get(row.kind, row.part)


def _shown(comparison: Comparison) -> list[Row]:
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


def _value(side: tuple[float, float, tuple[float, ...]] | None) -> float:
    return 0.0 if side is None else side[0]


def _line(row: Row) -> tuple[str, str, str, str, str]:
    measure = MEASURES[row.measure]
    name = _cut(row.part) if row.kind in SITES else measure.title
    a, b = (measure.format(None if side is None else side.value) for side in (row.a, row.b))
    return f"  {name}", a, b, *_difference(row)


def _difference(row: Row) -> tuple[str, str]:
    """The difference, and its share with the interval; of what is within noise, how much noise there is."""
    measure = MEASURES[row.measure]
    if row.difference is None or row.low is None or row.high is None:
        return "", ""
    share = row.relative(row.difference)
    timed = measure.unit in ("rate", "span")
    ends = [row.relative(end) for end in (row.low, row.high)]
    interval = f"({_percent(ends[0])} to {_percent(ends[1])})" if timed else ""
    if not row.changed:
        noise = interval or f"±{measure.format((row.high - row.low) / 2)}"
        return "", f"  {CANNOT if timed and (ends[1] or 0) > WIDEST else WITHIN} {noise}"
    amount = "" if share is None else _percent(share)
    return measure.format_difference(row.difference), f"{MARKS[row.found]} {amount} {interval}".rstrip()


def _percent(share: float | None) -> str:
    if share is None:
        return "—"
    return f"×{1 + share:,.0f}" if share >= MANY else f"{share * 100:+.1f} %"


def _grid(rows: Sequence[Row], a: str, b: str) -> list[str]:
    body = []
    for row in rows:
        _, left, right, difference, note = (cell.strip() for cell in _line(row))
        body.append((_cut(row.part), MEASURES[row.measure].title, left, right, difference, note))
    return markdown.table([("", "", "A", "B", "difference", " "), *body], left=(0, 1, 5))


# Beside it


def _settings(comparison: Comparison) -> list[str]:
    """What holds for a whole run and differs, then what is the same."""
    lines = [
        f"{fact.name}: {_cut(fact.a or '—', ARGUMENTS)} → {_cut(fact.b or '—', ARGUMENTS)}"
        for fact in comparison.facts
        if fact.differs
    ]
    same = [
        f"{fact.name} {fact.a}" for fact in comparison.facts if fact.a == fact.b and fact.name != "command"
    ]
    lines += [f"The same: {', '.join(same)}."] if same else []
    unknown = [fact.name for fact in comparison.facts if None in (fact.a, fact.b)]
    return [*lines, *([f"Told by one side only: {', '.join(unknown)}."] if unknown else [])]


def _not_comparable(comparison: Comparison) -> list[str]:
    """What is not comparable of the whole, or of a part where one side tells it, by its reason."""
    reasons: dict[str, list[str]] = {}
    for row in comparison.rows:
        if row.found == "not comparable" and (row.part == WHOLE or row.a is not None or row.b is not None):
            title = MEASURES[row.measure].title
            name = title if row.part == WHOLE else f"{row.part}'s {title}"
            reasons.setdefault(row.why, []).append(one_line(name))
    return [f"Not comparable: {_listed(names)} ({why})." for why, names in reasons.items()]


def _listed(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _cut(name: str, most: int = LONGEST) -> str:
    """A name of unknown origin; a path is told by its end."""
    name = one_line(name)
    return name if len(name) <= most else f"…{name[1 - most :]}"


def _wrapped(lines: Sequence[str], width: int | None) -> list[str]:
    if width is None:
        return list(lines)
    return [part for line in lines for part in wrap(line, width, subsequent_indent="  ")]
