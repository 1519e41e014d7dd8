"""Tests how well this machine keeps a sampling interval of one millisecond."""

import time
from collections.abc import Iterator
from itertools import pairwise

from mlxtop.doctor.finding import Finding, Section
from mlxtop.mlx.sampler import Sampler

INTERVAL, SECONDS = 0.001, 1.0
ENOUGH = 0.95
"""The share of ticks on time that short intervals need."""


def check(section: Section) -> Iterator[Finding]:
    """The share of ticks on time during one second, and the longest gap."""
    times: list[float] = []
    sampler = Sampler(INTERVAL, times.append)
    sampler.start()
    time.sleep(SECONDS)
    sampler.stop()
    if len(times) < 2:
        yield section.wrong("1 ms", f"{len(times)} ticks in {SECONDS:g} s")
        return
    share = sampler.ticks / (sampler.ticks + sampler.skipped)
    longest = max(later - earlier for earlier, later in pairwise(times))
    value = f"{share:.1%} of the ticks on time, the longest gap {longest * 1000:.1f} ms"
    if share >= ENOUGH:
        yield section.ok("1 ms", value)
    else:
        yield section.missing(
            "1 ms", value, "The machine is busy: use a longer --interval, or try again when it is idle."
        )
