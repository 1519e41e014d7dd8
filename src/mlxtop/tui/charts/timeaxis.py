"""The time range of the screen: the width of a column, and the end of the view."""

from dataclasses import dataclass, replace

# Widths of a column in seconds. Above one second each is a multiple of a level of `core.history`, so that
# buckets never straddle two columns.
WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0)
DEFAULT_WIDTH = 0.5


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """The time range. Columns lie on a fixed grid of session time, so a complete column never changes."""

    width: float = DEFAULT_WIDTH
    end: float | None = None
    """Session time of the right edge in seconds; `None` follows the present."""

    def zoom(self, direction: int, least: float) -> "TimeAxis":
        """The next narrower (-1) or wider (+1) columns, not narrower than the sampling interval `least`."""
        widths = [w for w in WIDTHS if w >= least] or [WIDTHS[-1]]
        near = min(range(len(widths)), key=lambda i: abs(widths[i] - self.width))
        return replace(self, width=widths[max(0, min(len(widths) - 1, near + direction))])

    def pan(self, columns: int, now: float) -> "TimeAxis":
        """Moves the view by `columns`, to the past if negative. At the present it follows again."""
        end = (now if self.end is None else self.end) + columns * self.width
        return replace(self, end=None if end >= now else max(end, self.width))

    def start(self, count: int, now: float) -> float:
        """Session time in seconds where the first of `count` columns begins."""
        end = now if self.end is None else self.end
        return (int(end / self.width + 1e-9) - count + 1) * self.width
