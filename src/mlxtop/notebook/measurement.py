"""One measured cell, from its first line to its end."""

import time
from contextvars import copy_context
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from mlxtop.core.census_diff import CensusDiff, diff
from mlxtop.core.census_text import graphs
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.snapshot import Snapshot
from mlxtop.mlx import allocator, census
from mlxtop.mlx.peak_watch import PeakWatch, at_rest
from mlxtop.notebook.live import Live
from mlxtop.notebook.places import Places, Statement
from mlxtop.system import footprint

if TYPE_CHECKING:
    from mlxtop.notebook.live import Show
    from mlxtop.notebook.places import Call


@dataclass(frozen=True, slots=True)
class Measured:
    """What a cell did to memory. Sizes are bytes, footprints `None` where the system tells none."""

    cell: str
    """`cell 5`."""
    before: Snapshot
    after: Snapshot
    peak: int
    """The most that was active."""
    exact: bool
    """Whether a peak below an earlier one would have been seen."""
    where: str
    """`cell 5, line 3`; empty where memory did not rise, or nobody knows."""
    footprint_before: int | None
    footprint_after: int | None
    footprint_most: int | None
    """The highest that a sample saw."""
    kept: CensusDiff | None = None
    """What appeared and vanished, where that was asked for."""
    graphs: str = ""
    """Who holds much in graphs of what is not computed, and what to do; foreign text is in it."""


class Measurement:
    """Measures from `start` to `stop`, both on the cell's thread. `show` shows the live chart, if any."""

    def __init__(self, places: Places, caller: FrameType, with_census: bool, show: "Show | None") -> None:
        self._places = places
        self._with_census = with_census
        self._call = places.cell_of(caller)
        self._watch: PeakWatch[tuple[Call, ...] | Statement] = PeakWatch(places.of, shared=True)
        self._footprint = footprint.reader()
        self._live = Live(show, copy_context(), lambda: self._window.peak)

    def start(self) -> None:
        self._earlier = census.take(census.BUDGET_MOST) if self._with_census else None
        self._footprint_before = self._footprint()
        if self._call is not None:
            self._watch.here = Statement(self._call.path, self._call.line, self._call.line)
        self._window = self._watch.open()
        self._before = allocator.snapshot(time.monotonic())
        self._watch.install()
        try:
            self._live.start(self._before.time)
        except BaseException:
            self._watch.remove()
            raise

    def at(self, first: int, last: int) -> None:
        """The cell comes to its statement in these lines."""
        if self._call is not None:
            self._watch.look()
            self._watch.here = Statement(self._call.path, first, last)

    def stop(self) -> Measured:
        """Ends it, whatever the cell came to. Raises what went wrong in the watch."""
        try:
            self._watch.close(self._window)
        finally:
            self._watch.remove()
            end = at_rest()
            self._live.stop(end)
        if self._watch.failure is not None:
            raise self._watch.failure
        after, window = self._footprint(), self._window
        later = None if self._earlier is None else census.take(census.BUDGET_MOST)
        most = [
            size for size in (self._footprint_before, after, self._live.footprint) if size and size != UNKNOWN
        ]
        return Measured(
            "the cell" if self._call is None else self._places.cell(self._call.path),
            self._before, end, max(window.peak, end.active, self._live.active), window.exact,
            self._where(), self._footprint_before, after, max(most, default=None),
            None if self._earlier is None or later is None else diff(self._earlier, later),
            "" if later is None else graphs(later),
        )  # fmt: skip

    def _where(self) -> str:
        where = self._window.where
        if where is None:
            return ""
        text = self._places.text(where)
        return text if self._window.in_eval else f"{text}, outside of mx.eval"
