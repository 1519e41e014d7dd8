"""The parts of the memory: a stacked bar, and a table in the same colours."""

from textual.strip import Strip

from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.tui.frame import Frame
from mlxtop.tui.panel import Panel, Part

# Key, short name, and long name.
ROWS = (
    ("weights", "weights", "weights"),
    ("kv", "KV cache", "KV cache"),
    ("other", "other", "other active"),
    ("cache", "cache", "reusable cache"),
    ("beyond", "beyond MLX", "beyond MLX"),
)
ROOMY = 34
SHADES = {"weights": "█", "kv": "▓", "other": "▒", "cache": "░", "beyond": "·"}
"""Characters for the parts without colour: as greys, four of the five look alike."""


def split(sample: Sample, unified: bool, device_used: int | None = None) -> dict[str, int | None]:
    """Bytes of each part of the process's memory; `None` if not measured.

    On a device with its own memory (CUDA) MLX's memory is not in the footprint. `beyond` is then the rest of
    `device_used`: that of CUDA and of other processes. If `device_used` is not known, it is the footprint.
    """
    weights, kv = sample.weights, sample.kv
    measured = max(weights, 0) + max(kv, 0)
    beyond = None
    if sample.footprint != UNKNOWN and sample.total != UNKNOWN:
        beyond = sample.footprint - sample.total if unified else sample.footprint
    if not unified and device_used is not None:
        beyond = device_used - sample.total
    return {
        "weights": None if weights == UNKNOWN else weights,
        "kv": None if kv == UNKNOWN else kv,
        # The arrays are not measured at the same moment as the counter: avoid a negative value.
        "other": None if sample.active == UNKNOWN else max(0, sample.active - measured),
        "cache": None if sample.cache == UNKNOWN else sample.cache,
        "beyond": beyond,
    }


class Breakdown(Panel[Frame]):
    """Weights, KV cache, other active, reusable cache, and the process's memory beyond MLX."""

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        title: list[Part] = [(" where it goes ", self.style("title"))]
        if frame.sample is None:
            return [self.row(title, width), self.row([(" waiting for MLX …", self.style("dim"))], width)]
        parts = split(frame.sample, frame.state.facts.unified, frame.machine.device_used)
        sizes = {name: max(0, size or 0) for name, size in parts.items()}
        whole = sum(sizes.values())
        bar = self._bar(sizes, whole, width - 16)
        return [
            self.row([*title, *bar], width),
            *(self._line(frame, *row, parts, whole, width) for row in ROWS),
        ]

    def _bar(self, sizes: dict[str, int], whole: int, width: int) -> list[Part]:
        out: list[Part] = []
        drawn, seen = 0, 0
        for name, *_ in ROWS:
            seen += sizes[name]
            end = round(seen / whole * width) if whole else 0
            shade, colour = self._shade(name)
            out.append((shade * (end - drawn), self.style(colour)))
            drawn = end
        return out

    def _shade(self, name: str) -> tuple[str, str]:
        """The character and the colour of a part."""
        return (SHADES[name], "text") if self.app.no_color else ("█", name)

    def _line(
        self,
        frame: Frame,
        name: str,
        short: str,
        long: str,
        parts: dict[str, int | None],
        whole: int,
        width: int,
    ) -> Strip:
        size = parts[name]
        shade, colour = self._shade(name)
        mark = shade if self.app.no_color else "■"
        share = f"{size / whole:>4.0%}" if size is not None and size >= 0 and whole else "   —"
        title = long if width >= ROOMY else short
        room = max(0, width - 4 - 10 - 6)
        return self.row(
            [
                (f" {mark} ", self.style(colour)),
                (f"{title:<{room}.{room}}", self.style("text")),
                (f"{frame.size(size):>10}", self.style("text")),
                (f" {share}", self.style("dim")),
            ],
            width,
        )
