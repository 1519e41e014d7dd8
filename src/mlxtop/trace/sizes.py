"""Buffers by size class: from one power of two to the next."""

from typing import NamedTuple

import numpy as np

from mlxtop.trace.reader import Rows


class SizeClass(NamedTuple):
    """Buffers of at least `least` bytes and less than `limit`."""

    least: int
    limit: int
    bytes: int
    buffers: int


def by_size(blocks: Rows) -> list[SizeClass]:
    """The buffers by size class, most bytes first."""
    # The exponent is exact: sizes are below 2⁵³.
    _, exponents = np.frexp(blocks["size"].astype(np.float64))
    found = []
    for exponent in np.unique(exponents).tolist():
        sizes = blocks["size"][exponents == exponent]
        least = 1 << exponent - 1 if exponent else 0
        found.append(SizeClass(least, 1 << exponent, int(sizes.sum()), len(sizes)))
    return sorted(found, key=lambda one: (-one.bytes, -one.least))
