"""What changed, in one sentence."""

from mlxtop.diff.comparison import Comparison, Row
from mlxtop.diff.measures import MEASURES
from mlxtop.diff.run import KINDS, WHOLE

MOST = 3
"""Measures that are told; of more, how many there are."""
MOST_SHARE = 10.0
"""A larger change is told in bytes alone."""
WORDS = {"more": "higher", "less": "lower"}
ABOUT = {"phase": "in {}", "operation": "of {}", "line": "at {}", "choice": "with {}", "whole": "of {}"}
"""How a part is told."""
IMPLIED = {"true-peak": "peak", "total": "peak", "live": "peak", "buffers": "live"}
"""A measure that rises with another need not be told beside it."""


def sentence(comparison: Comparison) -> str:
    """What changed first: `B's peak is 8.0 MiB (2.1 %) higher, in decode; nothing else changed …`"""
    if all(row.found == "not comparable" for row in comparison.rows):
        a, b = (KINDS[run.kind] for run in (comparison.a, comparison.b))
        return f"Nothing is comparable: A is a {a}, B a {b}." if a != b else "Nothing is comparable."
    told, left = _pick(comparison.changed)
    if not told:
        return "Nothing changed beyond noise."
    clauses = [_clause(row, comparison) for row in told]
    rest = f"{left} more changed" if left else "nothing else changed beyond noise"
    return f"B's {', its '.join(clauses)}; {rest}."


def _pick(changed: tuple[Row, ...]) -> tuple[list[Row], int]:
    """The rows to tell, and how many others there are.

    What changed in a part because the whole did, or with another measure, is told with that.
    """
    whole = {(row.measure, row.found) for row in changed if row.part == WHOLE}
    found = []
    for row in changed:
        above = _above(row.measure)
        names = above if row.part == WHOLE else (row.measure, *above)
        if not any((name, row.found) in whole for name in names):
            found.append(row)
    return found[:MOST], len(found[MOST:])


def _above(measure: str) -> tuple[str, ...]:
    """The measures that this one rises with."""
    above = IMPLIED.get(measure)
    return () if above is None else (above, *_above(above))


def _clause(row: Row, comparison: Comparison) -> str:
    measure = MEASURES[row.measure]
    assert row.difference is not None
    share = row.relative(row.difference)
    size = measure.format(abs(row.difference))
    percent = "" if share is None or share > MOST_SHARE else f"{abs(share) * 100:.1f} %"
    both = f"{size} ({percent})" if percent else size
    amount = percent if percent and measure.unit == "rate" else both
    verdict = f"is {amount} {WORDS[row.found]}"
    if row.part == WHOLE:
        return f"{measure.title} {verdict}{_where(row, comparison)}"
    return f"{measure.title} {ABOUT[row.kind].format(row.part)} {verdict}"


def _where(row: Row, comparison: Comparison) -> str:
    """The phases in which the whole changed; of a trace the operation and the line that changed most."""
    traced = comparison.a.kind == "trace"
    measure = "live" if traced and row.measure == "peak" else row.measure
    inside = [
        each
        for each in comparison.changed
        if each.part != WHOLE and (each.measure, each.found) == (measure, row.found)
    ]
    if traced:
        inside.sort(key=lambda each: -abs(each.difference or 0))
        kinds = {each.kind: each for each in reversed(inside)}
        told = [ABOUT[kind].format(kinds[kind].part) for kind in ("operation", "line") if kind in kinds]
        return f", {' '.join(told)}" if told else ""
    *others, last = [each.part for each in inside] or [""]
    if not last or len(others) >= MOST:
        return ""
    return f", in {', '.join(others)} and {last}" if others else f", in {last}"
