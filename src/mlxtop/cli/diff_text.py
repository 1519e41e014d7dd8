"""A comparison as text and as Markdown."""

from collections.abc import Iterable, Sequence
from textwrap import wrap

from mlxtop.core import markdown
from mlxtop.core.text import one_line
from mlxtop.core.units import format_clock
from mlxtop.diff import table
from mlxtop.diff.comparison import Comparison, Row
from mlxtop.diff.condition import Judgement
from mlxtop.diff.measures import MEASURES
from mlxtop.diff.run import KINDS, Run
from mlxtop.diff.story import sentence
from mlxtop.tui.tables import aligned


def text(comparison: Comparison, width: int | None = None) -> str:
    """What changed, the two runs, the table, and the rest. Without `width` no line is wrapped."""
    lines = [line.cells for line in table.lines(comparison)]
    blocks = [
        _wrapped([sentence(comparison)], width),
        _runs(comparison),
        aligned([table.HEAD, *lines], table.LEFT) if lines else [],
        _wrapped([*table.settings(comparison), *table.not_comparable(comparison)], width),
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def in_markdown(comparison: Comparison, judgements: Sequence[Judgement] = ()) -> str:
    """The same for a pull request: what changed, then the whole table folded away."""
    a, b = (_safe(run.path.name) for run in (comparison.a, comparison.b))
    rows = [row for row in table.shown(comparison) if row.found != "not comparable"]
    changed = [row for row in rows if row.changed]
    lines = [f"**{_safe(sentence(comparison))}**", ""]
    lines += [f"- {_safe(line)}" for line in verdicts(judgements)]
    lines += [""] if judgements else []
    lines += [*_grid(changed), ""] if changed else []
    lines += [f"<details><summary>All measures: A is {a}, B is {b}</summary>", ""]
    lines += [*_grid(rows), ""] if rows else []
    lines += [f"- {_safe(line)}" for line in (*table.settings(comparison), *table.not_comparable(comparison))]
    return "\n".join([*lines, "", "</details>"])


def verdicts(judgements: Iterable[Judgement]) -> list[str]:
    """Each condition with what became of it."""
    words = {True: "failed", False: "passed", None: "not comparable"}
    return [f"{words[found.holds]}: {one_line(found.condition.text)}: {found.why}" for found in judgements]


def _safe(line: str) -> str:
    return markdown.escape(one_line(line)).replace("*", "\\*").replace("_", "\\_")


def _runs(comparison: Comparison) -> list[str]:
    return aligned([("A", *_about(comparison.a)), ("B", *_about(comparison.b))], left=(0, 1, 2, 3))


def _about(run: Run) -> tuple[str, str, str]:
    span = "" if run.seconds is None else f" of {format_clock(run.seconds)}"
    return one_line(str(run.path)), f"{KINDS[run.kind]}{span}", table.cut(run.title)


def _grid(rows: Sequence[Row]) -> list[str]:
    body = []
    for row in rows:
        _, a, b, difference, note = (cell.strip() for cell in table.cells(row))
        body.append((table.cut(row.part), MEASURES[row.measure].title, a, b, difference, note))
    return markdown.table([("", "", "A", "B", "difference", " "), *body], left=(0, 1, 5))


def _wrapped(lines: Sequence[str], width: int | None) -> list[str]:
    if width is None:
        return list(lines)
    return [part for line in lines for part in wrap(line, width, subsequent_indent="  ")]
