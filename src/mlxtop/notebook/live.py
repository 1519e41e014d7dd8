"""What happens beside a cell while it runs: samples, and a chart of them a few times a second.

The thread only reads counters. It evaluates nothing and waits for nothing of MLX's.
"""

from collections.abc import Callable
from contextlib import suppress
from contextvars import Context

from mlxtop.core.history import History
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.core.snapshot import Snapshot
from mlxtop.mlx import allocator
from mlxtop.mlx.sampler import Sampler
from mlxtop.notebook.chart import Chart
from mlxtop.system import footprint

INTERVAL = 0.05
"""Seconds between two samples."""
FIRST = 0.5
"""Seconds after which there is something to see: a short cell needs no chart."""
FRAME, SLOWER = 0.25, 240
"""Seconds between two pictures at least, and how many pictures a long cell gets in the time it has run."""

Show = Callable[[str], None]
"""Shows a piece of HTML: the first time anew, then in the place of the one before."""


class Live:
    """Samples from `start` to `stop`. `show` is called in the thread, in the cell's `context`, or is None."""

    def __init__(self, show: Show | None, context: Context, peak: Callable[[], int]) -> None:
        self._show = show
        self._context = context
        self._peak = peak
        self._read = allocator.reader()
        self._footprint = footprint.Recent()
        self._history = History(INTERVAL)
        self._chart = Chart(self._history)
        self._due = FIRST
        self._sampler = Sampler(INTERVAL, self._tick, failed=self._fail)
        self.drawn = 0
        """How many pictures were drawn."""
        self.active = 0
        """The most that was active at a sample, in bytes."""
        self.footprint = UNKNOWN
        """The highest footprint at a sample, in bytes."""

    def start(self, now: float) -> None:
        """`now` is `time.monotonic()`."""
        self._began = now
        self._sampler.start()

    def stop(self, last: Snapshot) -> None:
        """Ends the thread, and brings a chart that was shown up to the end."""
        self._sampler.stop()
        if self.drawn:
            # A chart that cannot be drawn takes nothing from what was measured.
            with suppress(Exception):
                self._add(last.time, last.active, last.cache)
                self._draw(last.time - self._began)

    def _tick(self, now: float) -> None:
        active, cache, _ = self._read()
        self._add(now, active, cache)
        seconds = now - self._began
        if self._show is not None and seconds >= self._due:
            self._due = seconds + max(FRAME, seconds / SLOWER)
            self._context.run(self._draw, seconds)

    def _add(self, now: float, active: int, cache: int) -> None:
        charged = self._footprint.at(now)
        self.active, self.footprint = max(self.active, active), max(self.footprint, charged)
        self._history.add(Sample(now - self._began, active, cache, self._peak(), active + cache, charged))

    def _draw(self, seconds: float) -> None:
        if self._show is not None:
            self._show(self._chart.html(max(self._peak(), self.active), seconds))
            self.drawn += 1

    def _fail(self, error: BaseException) -> None:
        """Without a chart the cell is measured all the same."""
        self._show = None
