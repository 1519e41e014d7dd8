"""What was never freed: the buffers alive at the end, by site, with their ages."""

from typing import NamedTuple

import numpy as np

from mlxtop.trace import layout
from mlxtop.trace.moments import Moments


class Unfreed(NamedTuple):
    """Buffers of one operation and one line that are alive. Texts are foreign."""

    operation: str
    line: str
    bytes: int
    buffers: int
    oldest: float | None
    """Age of the oldest in seconds; None for what was there before the trace."""
    newest: float | None


def unfreed(moments: Moments) -> list[Unfreed]:
    """What is alive now, or was when the program ended, most bytes first.

    Of what was there before the trace only the bytes are known.
    """
    sums: dict[tuple[str, str], list[int]] = {}
    live, end = moments.live, moments.last_ns
    for index in np.unique(live["site"]).tolist():
        rows, site = live[live["site"] == index], moments.sites[index]
        found = int(rows["size"].sum()), len(rows), int(rows["time_ns"].min()), int(rows["time_ns"].max())
        known = sums.setdefault((site.name, site.line), [0, 0, found[2], found[3]])
        known[:] = known[0] + found[0], known[1] + found[1], min(known[2], found[2]), max(known[3], found[3])
    if (before := int(moments.now.bytes[: layout.BEFORE + 1].sum())) > 0:
        sums[moments.sites[layout.BEFORE].name, moments.sites[layout.BEFORE].line] = [before, 0, 0, 0]
    everything = [
        Unfreed(operation, line, size, count, _age(first, end), _age(last, end))
        for (operation, line), (size, count, first, last) in sums.items()
    ]
    return sorted(everything, key=lambda one: (-one.bytes, -one.buffers, one.operation, one.line))


def _age(time_ns: int, end: int) -> float | None:
    return max(0, end - time_ns) / 1e9 if time_ns else None
