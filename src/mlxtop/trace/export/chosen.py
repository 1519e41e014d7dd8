"""What a person wants of a trace."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlxtop.trace import layout
from mlxtop.trace.composition import Composition
from mlxtop.trace.reader import Rows


@dataclass(frozen=True, slots=True)
class Chosen:
    """What to export."""

    at: Composition | None
    """The moment that a format without times shows. None before the first allocation."""
    min_size: int = 0
    """Formats with times leave out smaller buffers."""

    def events(self, events: Rows) -> Rows:
        """The events of buffers that are large enough, and those of steps and phases."""
        return self._large(events, events["kind"] > layout.FREED)

    def live(self, live: Rows) -> Rows:
        """The live buffers that are large enough."""
        return self._large(live, np.zeros(len(live), bool))

    def _large(self, rows: Rows, other: NDArray[np.bool_]) -> Rows:
        return rows[other | (rows["size"] >= self.min_size)] if self.min_size else rows
