"""What was alive at one moment, by site, and how it is put together: by operation, by line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlxtop.trace.sites import BEFORE, NO_LAYER, OTHERS, Site


@dataclass(frozen=True, slots=True)
class Composition:
    """The live bytes and buffers of each site, by its number. Sites that came later are not in it."""

    time_ns: int
    """`CLOCK_MONOTONIC`; 0 for now."""
    index: int
    """How many events had been written."""
    step: int
    """The step that began last; 0 where none is known."""
    bytes: NDArray[np.int64]
    buffers: NDArray[np.int64]
    exact: bool = True
    """False where events on the way from a known composition are missing, or were too small for the ring."""

    @property
    def total(self) -> int:
        """Bytes alive."""
        return int(self.bytes.sum())

    @property
    def count(self) -> int:
        """Buffers alive, but for those from before the trace, which nobody counted."""
        return int(self.buffers.sum())


class Part(NamedTuple):
    """Bytes and buffers that have a name in common: an operation's, a line's. Foreign text.

    Buffers from before the trace are not counted.
    """

    name: str
    bytes: int
    buffers: int


def parts_of(
    sizes: NDArray[np.int64], counts: NDArray[np.int64], sites: Sequence[Site], name: Callable[[Site], str]
) -> list[Part]:
    """Bytes and buffers of each site, summed by `name`, most bytes first. Names with neither are left out."""
    sums: dict[str, tuple[int, int]] = {}
    for site, size, count in zip(sites, sizes.tolist(), counts.tolist(), strict=False):
        if size or count:
            known = sums.get(name(site), (0, 0))
            sums[name(site)] = (known[0] + size, known[1] + count)
    found = [Part(word, size, count) for word, (size, count) in sums.items()]
    return sorted(found, key=lambda part: (-part.bytes, -part.buffers, part.name))


def by_operation(composition: Composition, sites: Sequence[Site]) -> list[Part]:
    """The composition by operation."""
    return parts_of(composition.bytes, composition.buffers, sites, lambda site: site.name)


def by_line(composition: Composition, sites: Sequence[Site]) -> list[Part]:
    """The composition by the line that evaluated."""
    return parts_of(composition.bytes, composition.buffers, sites, lambda site: site.line)


def by_layer(composition: Composition, sites: Sequence[Site]) -> list[Part]:
    """The composition by the layer that was called; empty where the trace names no layers."""
    if not any(site.layer for site in sites):
        return []
    return parts_of(composition.bytes, composition.buffers, sites, _layer)


def _layer(site: Site) -> str:
    return site.layer or (site.name if site.name in (BEFORE, OTHERS) else NO_LAYER)
