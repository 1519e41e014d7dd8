"""Aggregates samples into buckets of increasing width."""

from collections.abc import Iterable

from mlxtop.core.resample import WIDTHS, Row, close, fold
from mlxtop.core.sample import COUNTERS, GAUGES, UNKNOWN, Sample

LEVELS = tuple(range(1, len(WIDTHS) + 1))
"""Levels of buckets; level 0 is the samples themselves."""
PLAIN = (*GAUGES, "tokens", "phase", "weights", "kv")
"""The columns of the table `samples`, after the session and the time."""


def row(sample: Sample) -> Row:
    """Returns a sample as a bucket."""
    return Row(sample.time, sample.gauges, sample.highs, sample.counters)


def roll(level: int, begun: Row | None, rows: Iterable[Row]) -> tuple[list[Row], Row | None]:
    """Returns the finished buckets of `level`, and the unfinished one, from rows in order of time.

    `begun` is the unfinished bucket of the previous call.
    """
    width, filled = WIDTHS[level - 1], [begun] if begun else []
    over = fold(width, filled, rows)
    return over, close(width, filled) if filled else None


def plain(bucket: Row) -> list[int | None]:
    """Returns the values of `PLAIN`: a gauge's maximum, a counter's last value; `None` where unknown."""
    found = dict(zip((*GAUGES, *COUNTERS), (*bucket.hi, *bucket.last), strict=True))
    return [None if found[name] == UNKNOWN else found[name] for name in PLAIN]
