"""Samples as rows, and the extremes of rows in ever wider buckets."""

from collections.abc import Iterable

from mlxtop.core.resample import WIDTHS, Row, close, fold
from mlxtop.core.sample import COUNTERS, GAUGES, UNKNOWN, Sample

LEVELS = tuple(range(1, len(WIDTHS) + 1))
"""Levels of buckets; level 0 is the samples themselves."""
PLAIN = (*GAUGES, "tokens", "phase", "weights", "kv")
"""The columns of the table `samples`, after the session and the time."""


def row(sample: Sample) -> Row:
    """A sample as a bucket of its own."""
    gauges = sample.gauges
    return Row(sample.time, gauges, gauges, sample.counters)


def roll(level: int, begun: Row | None, rows: Iterable[Row]) -> tuple[list[Row], Row | None]:
    """Rows in order of time → the buckets of `level` that are over, and the one that is still being filled.

    `begun` is the one that was being filled before.
    """
    width, filled = WIDTHS[level - 1], [begun] if begun else []
    over = fold(width, filled, rows)
    return over, close(width, filled) if filled else None


def plain(bucket: Row) -> list[int | None]:
    """The values of `PLAIN`: the highest of a gauge, the last of a counter, `None` where it is not known."""
    found = dict(zip((*GAUGES, *COUNTERS), (*bucket.hi, *bucket.last), strict=True))
    return [None if found[name] == UNKNOWN else found[name] for name in PLAIN]
