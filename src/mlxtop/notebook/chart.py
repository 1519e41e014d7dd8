"""A small chart of what MLX holds, as a picture: it needs no script, and stays in the saved notebook."""

from base64 import b64encode
from collections.abc import Iterator, Sequence

from mlxtop.core.history import History
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.units import format_span
from mlxtop.report.render import render

WIDTH, HEIGHT = 640, 120
"""Pixels."""
COLUMNS = 160
ACTIVE, CACHE, PEAK, INK = "#3b82f6", "#b7791f", "#db2777", "#7d7d7d"
"""Each can be told from white as well as from black: the picture does not know the notebook's theme."""
TEMPLATE = "notebook/templates/chart.html"


class Chart:
    """Draws the samples of a history whose times are seconds since the cell began."""

    def __init__(self, history: History) -> None:
        self._history = history

    def html(self, peak: int, seconds: float) -> str:
        """The chart at `seconds`, with a line at `peak` bytes. Its work does not grow with the time."""
        latest = self._history.latest
        active, cache = (latest.active, latest.cache) if latest else (0, 0)
        return render(
            TEMPLATE, picture=b64encode(self._svg(peak, seconds).encode()).decode(), width=WIDTH,
            keys=[
                ("■", ACTIVE, "active", active), ("■", CACHE, "cache", cache), ("╌", PEAK, "peak", peak),
                ("", INK, "footprint", latest.footprint if latest and latest.footprint != UNKNOWN else None),
            ],
            time=format_span(round(seconds, 1)),
        )  # fmt: skip

    def _svg(self, peak: int, seconds: float) -> str:
        width = max(seconds, 0.1) / COLUMNS
        columns = self._history.columns(0.0, width, COLUMNS + 1, ("active", "cache"), ())
        active, cache = columns.hi["active"], columns.hi["cache"]
        total = [a + max(c, 0) if a != UNKNOWN else UNKNOWN for a, c in zip(active, cache, strict=True)]
        top = max([*total, peak, 1]) * 1.05
        line = HEIGHT * (1 - peak / top)
        return "".join((
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
            f'<path d="{_area(total, top)}" fill="{CACHE}" fill-opacity=".55"/>',
            f'<path d="{_area(active, top)}" fill="{ACTIVE}" fill-opacity=".8"/>',
            f'<path d="M0 {line:.1f}H{WIDTH}" stroke="{PEAK}" stroke-width="1.5" stroke-dasharray="5 4"/>',
            f'<path d="M0 {HEIGHT - 0.5}H{WIDTH}" stroke="{INK}"/>',
            "</svg>",
        ))  # fmt: skip


def _area(values: Sequence[int], top: float) -> str:
    """The path of an area under some values, one a column; it begins anew after those that are unknown."""
    return "".join(_run(run, top) for run in _runs(values))


def _runs(values: Sequence[int]) -> Iterator[list[tuple[int, int]]]:
    run: list[tuple[int, int]] = []
    for column, value in enumerate([*values, UNKNOWN]):
        if value != UNKNOWN:
            run.append((column, value))
        elif run:
            yield run
            run = []


def _run(run: Sequence[tuple[int, int]], top: float) -> str:
    points = [(WIDTH * column / COLUMNS, HEIGHT * (1 - value / top)) for column, value in run]
    path = "".join(f"V{y:.1f}H{min(x + WIDTH / COLUMNS, WIDTH):.1f}" for x, y in points)
    return f"M{points[0][0]:.1f} {HEIGHT}{path}V{HEIGHT}Z"
