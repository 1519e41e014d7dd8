"""Samples as rows, and the extremes of rows in ever wider buckets."""

from collections.abc import Iterable

from mlxtop.core.columns import Row
from mlxtop.core.history import WIDTHS
from mlxtop.core.sample import Sample

LEVELS = tuple(range(1, len(WIDTHS) + 1))
"""Levels of buckets; level 0 is the samples themselves."""


def row(sample: Sample) -> Row:
    """A sample as a bucket of its own."""
    gauges = sample.gauges
    return Row(sample.time, gauges, gauges, sample.counters)


def roll(level: int, begun: Row | None, rows: Iterable[Row]) -> tuple[list[Row], Row | None]:
    """Rows in order of time → the buckets of `level` that are over, and the one that is still being filled.

    `begun` is the one that was being filled before.
    """
    width, found = WIDTHS[level - 1], [begun] if begun else []
    for each in rows:
        start = each.time // width * width
        if found and found[-1].time == start:
            found[-1] = found[-1].merge(each)
        else:
            found.append(each._replace(time=start))
    return found[:-1], found[-1] if found else None
