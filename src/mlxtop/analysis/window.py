"""A window of history reduced to its floors, and the growth of a gauge over it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mlxtop.analysis import thresholds as bar
from mlxtop.analysis.trend import Growth, floors, growth
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.sample_store import Samples

Gauge = Literal["active", "cache", "beyond"]
Floors = list[int | None]
NO_EVAL = "no eval is seen yet; press w for what waits"
READ = ("active", "cache", "total", "footprint")


@dataclass(frozen=True, slots=True)
class Window:
    """The floors of `span` seconds from `start`, one for each segment, in bytes; `None` where unknown."""

    start: float
    span: float
    times: list[float]
    floors: dict[str, Floors]
    """By gauge: active, cache, total, footprint, kv, and beyond (the footprint without MLX's memory)."""
    lows: dict[str, list[int]]
    """By gauge: the lowest value of each column, in bytes; `UNKNOWN` where there is none."""
    highs: dict[str, list[int]]
    """By gauge: the highest value of each column, in bytes."""
    steps: int
    """The number of steps done."""

    @property
    def width(self) -> float:
        """The length of a column in seconds."""
        return self.span / (bar.SEGMENTS * bar.COLUMNS)

    @property
    def cache_high(self) -> int:
        """The largest cache in the last segment, in bytes."""
        return max(self.highs["cache"][-bar.COLUMNS :])

    def column_highs(self, gauge: str) -> list[tuple[float, int]]:
        """Returns the time at which each column begins, and the highest value in it."""
        return [(self.start + self.width * i, high) for i, high in enumerate(self.highs[gauge])]

    def range(self, gauge: str) -> tuple[int, int]:
        """Returns the lowest and the highest value in bytes; `UNKNOWN` where there is none."""
        lows = [low for low in self.lows[gauge] if low != UNKNOWN]
        return min(lows, default=UNKNOWN), max(self.highs[gauge])


def read(history: Samples, start: float, end: float, unified: bool) -> Window:
    """Reads the window from `start` to `end`. `unified`: the footprint includes MLX's memory."""
    count, span = bar.SEGMENTS * bar.COLUMNS, end - start
    columns = history.columns(start, span / count, count, READ, ("steps", "kv"), until=end)
    found: dict[str, Floors] = {name: floors(columns.lo[name], bar.COLUMNS) for name in READ}
    found["kv"] = floors(columns.last["kv"], bar.COLUMNS)
    # Floor minus floor: the footprint is read less often than the counters, so single differences vary.
    found["beyond"] = [_minus(f, t) for f, t in zip(found["footprint"], found["total"], strict=True)]
    if not unified:
        found["beyond"] = found["footprint"]
    segment = span / bar.SEGMENTS
    times = [start + segment * (i + 0.5) for i in range(bar.SEGMENTS)]
    steps = [n for n in columns.last["steps"] if n != UNKNOWN]
    done = steps[-1] - steps[0] if steps else 0
    return Window(start, span, times, found, columns.lo, columns.hi, done)


def _known(window: Window) -> bool:
    return sum(v is not None for v in window.floors["active"]) >= bar.KNOWN


def _minus(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a - b


def grown(found: Sequence[int | None]) -> int | None:
    """Returns the last known floor minus the first; `None` where none is known."""
    known = [v for v in found if v is not None]
    return known[-1] - known[0] if known else None


class WindowReader:
    """Reads windows of one history that end at `end`, each once, and finds growth in them."""

    def __init__(
        self,
        history: Samples,
        end: float,
        window: float,
        unified: bool,
        steps_are: str = "tokens",
        waiting: bool = False,
    ) -> None:
        self.history, self.end, self.window, self.unified = history, end, window, unified
        self.steps_are = steps_are
        self.waiting = waiting
        """Whether arrays wait to be evaluated: growth without a step is then not a model that loads."""
        self._read: dict[tuple[float, float], Window] = {}

    def between(self, start: float, end: float) -> Window:
        key = (start, end)
        if key not in self._read:
            self._read[key] = read(self.history, start, end, self.unified)
        return self._read[key]

    def spans(self, begin: float) -> list[float]:
        """Returns the lengths in seconds of the windows that begin at or after `begin`."""
        room, spans = self.end - begin, list[float]()
        for times in bar.LONGER:
            span = min(self.window * times, room)
            if span >= self.window * bar.LEAST_SPAN and (not spans or span > 1.5 * spans[-1]):
                spans.append(span)
        return spans

    def longest(self, begin: float) -> float:
        """Returns the length in seconds of the longest of these windows with enough known floors."""
        spans = self.spans(begin)
        known = (span for span in reversed(spans) if _known(self.between(self.end - span, self.end)))
        return next(known, spans[0])

    def grows(self, gauge: Gauge, begin: float) -> tuple[Growth, Window | None]:
        """Returns a gauge's growth in the shortest window that shows it, else the first unclear result."""
        doubt: tuple[Growth, Window | None] = Growth("no"), None
        spans = self.spans(begin)
        if not spans:
            return Growth("unclear", span=max(0.0, self.end - begin), why="it is too early"), None
        for span in spans:
            window = self.between(self.end - span, self.end)
            found = self._grows(gauge, window, begin)
            if found.found == "yes":
                return found, window
            # Samples missing while the machine slept do not make the later ones unclear.
            seen = found.span > 0 or span == spans[0]
            if found.found == "unclear" and doubt[0].found == "no" and seen:
                doubt = found, window
        return doubt

    def _grows(self, gauge: Gauge, window: Window, begin: float) -> Growth:
        # The sum has to grow too: memory that moves from one gauge to another is no growth.
        whole = {"active": None, "cache": "total", "beyond": "footprint"}[gauge]
        least = self._least(window)
        if gauge == "beyond" and all(v is None for v in window.floors[gauge]):
            return Growth("no", why="the footprint is unknown")
        found = growth(window.times, window.floors[gauge], least)
        if found.found == "yes" and whole is not None:
            of_all = growth(window.times, window.floors[whole], least)
            if of_all.found != "yes":
                return found._replace(found=of_all.found, why="the total does not grow with it")
        if found.found == "yes" and window.span < bar.GROWTH_SPAN * self.window:
            return found._replace(found="unclear", why="it may be warming up")
        loads = window.steps == 0 and begin > self.end - 2 * self.window and not self.waiting
        if found.found == "yes" and loads:
            return found._replace(
                found="unclear", why=NO_EVAL if self.steps_are == "evals" else "no step was done yet"
            )
        if found.found == "yes":
            return self._without_cycle(gauge, window, begin, found)
        return found

    def _least(self, window: Window) -> float:
        levels = [v for name in ("total", "footprint") if (v := window.floors[name][-1]) is not None]
        return max(bar.GROWTH_LEAST, bar.GROWTH_SHARE * max(levels, default=0))

    def _without_cycle(self, gauge: Gauge, window: Window, begin: float, found: Growth) -> Growth:
        """Rejects a rise that occurred before and came down again: a cycle longer than the window."""
        segment = window.span / bar.SEGMENTS
        count = int((window.start - max(begin, window.start - bar.LOOK_BACK * window.span)) / segment)
        if count < 2:
            return found
        base = next(v for v in window.floors[gauge] if v is not None)
        before = self._before(gauge, window.start - count * segment, segment, count)
        teeth = returns([*before, base], base + found.grown / 4, base + found.grown / 2)
        if teeth == 0:
            return found
        return found._replace(
            found="no" if teeth > 1 else "unclear", why="it rose before and came down again"
        )

    def _before(self, gauge: Gauge, start: float, width: float, count: int) -> Floors:
        names = {"active": ("active",), "cache": ("cache",), "beyond": ("footprint", "total")}[gauge]
        lo = self.history.columns(start, width, count, names, (), until=self.end).lo
        first = floors(lo[names[0]], 1)
        if gauge != "beyond" or not self.unified:
            return first
        return [_minus(f, t) for f, t in zip(first, floors(lo["total"], 1), strict=True)]


def returns(values: Sequence[int | None], low: float, high: float) -> int:
    """Returns how often `values` came down from above `high` to below `low`."""
    count, up = 0, False
    for value in values:
        if value is None:
            continue
        if value >= high:
            up = True
        elif value <= low and up:
            count, up = count + 1, False
    return count
