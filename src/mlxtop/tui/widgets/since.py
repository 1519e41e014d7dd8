"""The change since a mark: then, now, the difference, and how fast it grows."""

from textual.strip import Strip

from mlxtop.core.text import one_line
from mlxtop.tui.canvas import Canvas
from mlxtop.tui.frame import Frame

SIZES = ("active", "cache", "peak", "total")
LEAST_FOR_RATE = 5.0
"""Seconds after a mark from which on a rate per minute says something."""


class Since(Canvas):
    """Active, cache, peak, total and tokens: at the mark, now, delta, per minute."""

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        mark, sample = frame.mark, frame.sample
        if mark is None or sample is None:
            head = self.row([(" since the mark", self.style("title"))], width)
            return [head, self.row([(" no mark yet: press m to set one", self.style("dim"))], width)]
        then, minutes = mark.snapshot, (sample.time - mark.snapshot.time) / 60
        name = one_line(mark.name)
        title = f" since “{name if len(name) <= 9 else name[:8] + '…'}”"
        columns = self._columns(width)
        heads = ("at mark", "now", "delta", "a minute")[:columns]
        rows = [
            self.row(
                [(f"{title:<19}", self.style("title")), *((f"{h:>{10 if i else 2}}", self.style("dim")) for i, h in enumerate(heads[1:]))],
                width,
            )
        ]
        rows.clear()
        rows.append(self.row([(f"{title:<{9 + 11}}", self.style("title")), *((f"{h:>11}", self.style("dim")) for h in heads[1:])], width))
        for series in SIZES:
            before, now = getattr(then, series), getattr(sample, series)
            rate = frame.delta(round((now - before) / minutes)) if minutes * 60 >= LEAST_FOR_RATE else "—"
            values = [frame.size(before), frame.size(now), frame.delta(now - before), rate]
            rows.append(self._row(series, values[:columns], width))
        tokens = sample.tokens - mark.tokens
        rate = f"{tokens / minutes:,.0f}" if minutes * 60 >= LEAST_FOR_RATE else "—"
        values = [f"{mark.tokens:,}", f"{sample.tokens:,}", f"{tokens:+,}" if tokens else "0", rate]
        rows.append(self._row("tokens", values[:columns], width))
        return rows

    def _columns(self, width: int) -> int:
        return max(1, min(4, (width - 9) // 11))

    def _row(self, name: str, values: list[str], width: int) -> Strip:
        colour = {"total": "text", "tokens": "speed"}.get(name, name)
        parts = [(f" {name:<8}", self.style(colour))]
        for i, value in enumerate(values):
            parts.append((f"{value:>11}", self.style("text" if i == 2 or (i == 1) else "dim")))
        return self.row(parts, width)
