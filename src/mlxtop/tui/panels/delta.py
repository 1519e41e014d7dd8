"""The change since a mark: value at the mark, value now, difference, and growth per minute."""

from textual.strip import Strip

from mlxtop.core.text import one_line
from mlxtop.tui.frame import Frame
from mlxtop.tui.panel import Panel

SIZES = ("active", "cache", "peak", "total")
HEADS = ("at mark", "now", "delta", "a minute")
NAME, WIDTHS = 8, (10, 10, 11, 11)
LEAST_FOR_RATE = 60.0
"""Seconds after a mark before growth is shown: over a few seconds any change would look like a leak."""


class Delta(Panel[Frame]):
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
        heads = "".join(f"{text:>{w}}" for text, w in zip(HEADS[1:columns], WIDTHS[1:], strict=False))
        rows = [
            self.row(
                [(f"{title:<{NAME + WIDTHS[0]}}", self.style("title")), (heads, self.style("dim"))], width
            )
        ]
        for series in SIZES:
            before, now = getattr(then, series), getattr(sample, series)
            rate = frame.delta(round((now - before) / minutes)) if minutes * 60 >= LEAST_FOR_RATE else "—"
            values = [frame.size(before), frame.size(now), frame.delta(now - before), rate]
            rows.append(self._row(series, values[:columns], width))
        tokens = sample.tokens - mark.tokens
        rate = f"{tokens / minutes:,.0f}" if minutes * 60 >= LEAST_FOR_RATE else "—"
        values = [f"{mark.tokens:,}", f"{sample.tokens:,}", f"{tokens:+,}" if tokens else "0", rate]
        rows.append(self._row(frame.session.steps_are, values[:columns], width))
        return rows

    def _columns(self, width: int) -> int:
        """How many columns fit."""
        return max(n for n in range(1, len(WIDTHS) + 1) if n == 1 or NAME + sum(WIDTHS[:n]) <= width)

    def _row(self, name: str, values: list[str], width: int) -> Strip:
        colour = name if name in ("active", "cache", "peak") else "text" if name == "total" else "speed"
        cells = [f"{value:>{w}}" for value, w in zip(values, WIDTHS, strict=False)]
        parts = [(f" {name:<{NAME - 1}}", self.style(colour)), (cells[0], self.style("dim"))]
        parts += [(cell, self.style("text")) for cell in cells[1:3]]
        parts += [(cell, self.style("dim")) for cell in cells[3:]]
        return self.row(parts, width)
