"""A census, and the changes between two of them, as tables."""

from collections.abc import Sequence

from mlxtop.core.census import PARTS, Census, Holding, Part
from mlxtop.core.census_diff import CensusDiff, Change, shape_text
from mlxtop.core.census_text import graphs, label, reasons
from mlxtop.core.text import one_line
from mlxtop.core.units import format_delta, format_size, format_span

NAMES: dict[Part, str] = {"kv": "KV cache", "garbage": "only garbage"}
"""The parts that are shown by other words than their own."""


def table(census: Census) -> str:
    """What a census accounts for, its parts and its lines."""
    accounted, active = format_size(census.accounted), format_size(census.active)
    lines = [f"{accounted} of {active} active are accounted for."]
    if not census.whole:
        lines.append("Time ran out: the parts are a lower bound. Take another census.")
    parts = [(census.parts[part], NAMES.get(part, part), census.counts[part]) for part in PARTS]
    rows = [(format_size(size), name, _arrays(count)) for size, name, count in parts if count]
    if why := graphs(census):
        rows.append((format_size(census.in_graphs), "of that in graphs", one_line(why)))
    if census.in_flight:
        rows.append((format_size(census.in_flight), "in flight", ""))
    if census.rest:
        rows.append((format_size(census.rest), "not explained", one_line("; ".join(reasons(census)))))
    if census.lazy_count:
        rows.append((format_size(census.lazy), "not computed", _arrays(census.lazy_count)))
    return "\n".join([*lines, *_block(rows, (1, 2)), *holdings(census.holdings)])


def changes(found: CensusDiff) -> str:
    """What appeared and vanished between two censuses."""
    lines = [f"Active {format_delta(found.active)} in {format_span(round(found.seconds))}."]
    if not found.whole:
        lines.append("Time ran out in one of the censuses: some changes may be missing.")
    if found.others:
        lines.append(f"Arrays too small to be listed: {format_delta(found.others)}.")
    if not found.changes:
        return "\n".join([*lines, "No listed array appeared or vanished."])
    return "\n".join([*lines, *change_rows(found.changes)])


def holdings(found: Sequence[Holding]) -> list[str]:
    """The lines of a census, after an empty one."""
    heads = ("size", "part", "shape", "type", "held by")
    return _block([heads, *map(_holding, found)], (1, 2, 3, 4))


def change_rows(found: Sequence[Change]) -> list[str]:
    """The lines of changes, after an empty one."""
    heads = ("change", "arrays", "", "part", "shape", "type", "held by")
    return _block([heads, *map(_change, found)], (2, 3, 4, 5, 6))


def _arrays(count: int) -> str:
    return f"{count:,} array" + ("" if count == 1 else "s")


def _block(rows: Sequence[tuple[str, ...]], left: Sequence[int]) -> list[str]:
    """The rows as a table, with an empty line before it."""
    from mlxtop.tui.tables import aligned

    return ["", *aligned(rows, left=left)] if rows else []


def _holding(holding: Holding) -> tuple[str, ...]:
    part = NAMES.get(holding.part, holding.part) if holding.computed else "not computed"
    return (
        format_size(holding.nbytes),
        part,
        shape_text(holding.shape),
        one_line(holding.dtype),
        one_line(label(holding)),
    )


def _change(change: Change) -> tuple[str, ...]:
    part = NAMES.get(change.part, change.part) if change.computed else "not computed"
    arrays = f"{change.arrays:+,}" if change.arrays else ""
    return (
        format_delta(change.nbytes), arrays, change.verb, part, change.shapes, one_line(change.dtype),
        one_line(change.label),
    )  # fmt: skip
