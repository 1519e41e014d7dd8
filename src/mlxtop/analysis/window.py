"""A stretch of history as its floors, and which gauges grew over it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mlxtop.analysis import thresholds as bar
from mlxtop.analysis.trend import Growth, floors, growth
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.sample_store import Samples

Gauge = Literal["active", "cache", "beyond"]
Floors = list[int | None]
READ = ("active", "cache", "total", "footprint")


@dataclass(frozen=True, slots=True)
class Window:
    """The floors of `span` seconds from `start`, one a segment; bytes, `None` where nobody knows."""

    start: float
    span: float
    times: list[float]
    floors: dict[str, Floors]
    """active, cache, total, footprint, kv, and beyond: the footprint without what MLX holds of it."""
    cache_high: int
    """The most the cache held in the last segment."""
    steps: int
    """Steps that were done."""


def read(history: Samples, start: float, end: float, unified: bool) -> Window:
    """The stretch from `start` to `end`. `unified`: the footprint has in it what MLX holds."""
    count, span = bar.SEGMENTS * bar.COLUMNS, end - start
    columns = history.columns(start, span / count, count, READ, ("steps", "kv"), until=end)
    found: dict[str, Floors] = {name: floors(columns.lo[name], bar.COLUMNS) for name in READ}
    found["kv"] = floors(columns.last["kv"], bar.COLUMNS)
    # Floor from floor: between two reads of the footprint, less often than of the counters, they swing apart.
    found["beyond"] = [_minus(f, t) for f, t in zip(found["footprint"], found["total"], strict=True)]
    if not unified:
        found["beyond"] = found["footprint"]
    segment = span / bar.SEGMENTS
    times = [start + segment * (i + 0.5) for i in range(bar.SEGMENTS)]
    steps = [n for n in columns.last["steps"] if n != UNKNOWN]
    high = max(columns.hi["cache"][-bar.COLUMNS :])
    return Window(start, span, times, found, high, steps[-1] - steps[0] if steps else 0)


def _known(stretch: Window) -> bool:
    return sum(v is not None for v in stretch.floors["active"]) >= bar.KNOWN


def _minus(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a - b


def grown(found: Sequence[int | None]) -> int | None:
    """The last known floor minus the first; `None` where none is known."""
    known = [v for v in found if v is not None]
    return known[-1] - known[0] if known else None


class WindowReader:
    """Stretches of one history up to `end`, each read once, and the growth of a gauge over them."""

    def __init__(self, history: Samples, end: float, window: float, unified: bool) -> None:
        self.history, self.end, self.window, self.unified = history, end, window, unified
        self._read: dict[tuple[float, float], Window] = {}

    def between(self, start: float, end: float) -> Window:
        key = (start, end)
        if key not in self._read:
            self._read[key] = read(self.history, start, end, self.unified)
        return self._read[key]

    def spans(self, begin: float) -> list[float]:
        """How long the stretches are that can be looked at when nothing before `begin` counts."""
        room, spans = self.end - begin, list[float]()
        for times in bar.LONGER:
            span = min(self.window * times, room)
            if span >= self.window * bar.LEAST_SPAN and (not spans or span > 1.5 * spans[-1]):
                spans.append(span)
        return spans

    def longest(self, begin: float) -> float:
        """The longest of these stretches of which enough is known."""
        spans = self.spans(begin)
        known = (span for span in reversed(spans) if _known(self.between(self.end - span, self.end)))
        return next(known, spans[0])

    def grows(self, gauge: Gauge, begin: float) -> tuple[Growth, Window | None]:
        """The growth of a gauge in the shortest stretch that shows it; else what the clearest doubt is."""
        doubt: tuple[Growth, Window | None] = Growth("no"), None
        spans = self.spans(begin)
        if not spans:
            return Growth("unclear", span=max(0.0, self.end - begin), why="it is too early"), None
        for span in spans:
            stretch = self.between(self.end - span, self.end)
            found = self._grows(gauge, stretch, begin)
            if found.found == "yes":
                return found, stretch
            # What a machine slept through is no doubt in what was seen since.
            seen = found.span > 0 or span == spans[0]
            if found.found == "unclear" and doubt[0].found == "no" and seen:
                doubt = found, stretch
        return doubt

    def _grows(self, gauge: Gauge, stretch: Window, begin: float) -> Growth:
        # The program has to hold more as a whole: what moves from one account to another is no growth.
        whole = {"active": None, "cache": "total", "beyond": "footprint"}[gauge]
        least = self._least(stretch)
        if gauge == "beyond" and all(v is None for v in stretch.floors[gauge]):
            return Growth("no", why="nobody knows the footprint")
        found = growth(stretch.times, stretch.floors[gauge], least)
        if found.found == "yes" and whole is not None:
            of_all = growth(stretch.times, stretch.floors[whole], least)
            if of_all.found != "yes":
                return found._replace(found=of_all.found, why="the whole does not grow with it")
        if found.found == "yes" and stretch.span < bar.GROWTH_SPAN * self.window:
            return found._replace(found="unclear", why="it may be warming up")
        if found.found == "yes" and stretch.steps == 0 and begin > self.end - 2 * self.window:
            return found._replace(found="unclear", why="no step was done yet")
        if found.found == "yes":
            return self._seen(gauge, stretch, begin, found)
        return found

    def _least(self, stretch: Window) -> float:
        levels = [v for name in ("total", "footprint") if (v := stretch.floors[name][-1]) is not None]
        return max(bar.GROWTH_LEAST, bar.GROWTH_SHARE * max(levels, default=0))

    def _seen(self, gauge: Gauge, stretch: Window, begin: float, found: Growth) -> Growth:
        """Takes back a rise that came before, and down again: a saw with teeth longer than the stretch."""
        segment = stretch.span / bar.SEGMENTS
        count = int((stretch.start - max(begin, stretch.start - bar.LOOK_BACK * stretch.span)) / segment)
        if count < 2:
            return found
        base = next(v for v in stretch.floors[gauge] if v is not None)
        before = self._before(gauge, stretch.start - count * segment, segment, count)
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
    """How often `values` came down from above `high` to below `low`."""
    count, up = 0, False
    for value in values:
        if value is None:
            continue
        if value >= high:
            up = True
        elif value <= low and up:
            count, up = count + 1, False
    return count
