"""Samples as rows, and the extremes of rows in ever wider buckets."""

from collections.abc import Iterable
from itertools import chain, groupby

from mlxtop.core.history import WIDTHS
from mlxtop.core.resample import Row, merge
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
    width = WIDTHS[level - 1]
    every = chain([begun] if begun else [], rows)
    found = [merge(start, [*part]) for start, part in groupby(every, lambda row: row.time // width * width)]
    return found[:-1], found[-1] if found else None
