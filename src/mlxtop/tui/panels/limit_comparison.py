"""Compares the cache limits used in this run: the speed and the memory under each."""

from collections.abc import Callable
from typing import NamedTuple

from textual.strip import Strip

from mlxtop.analysis.effect import LEAST, Effect
from mlxtop.analysis.work import Use
from mlxtop.core.commands import SetLimit
from mlxtop.core.units import format_clock
from mlxtop.tui.frame import Frame
from mlxtop.tui.panel import Panel, Part

FIRST = "the first"
RULE = {
    True: "compared: prompts of like length only",
    False: "compared: the same phase only",
}


class Column(NamedTuple):
    """One column. A heading of `None` stands for the unit of speed. On narrow screens columns with a high
    `gives_way` are left out first; 0 is always shown."""

    head: str | None
    width: int
    colour: str
    text: Callable[[Frame, Use], str]
    gives_way: int = 0


def _time(_frame: Frame, use: Use) -> str:
    return format_clock(use.seconds)


def _speed(_frame: Frame, use: Use) -> str:
    return "—" if use.speed is None else f"{use.speed:.1f}"


def _spread(_frame: Frame, use: Use) -> str:
    return "" if use.low is None or use.pieces < LEAST else f"{use.low:.0f}–{use.high:.0f}"


def _against(_frame: Frame, use: Use) -> str:
    if use.against is None:
        # A limit without work is not the first one.
        return FIRST if use.pieces else "—"
    return describe_change(use.against.speed)


def _total_more(frame: Frame, use: Use) -> str:
    return "" if use.against is None else frame.delta(use.against.total)


def _cache_more(frame: Frame, use: Use) -> str:
    return "" if use.against is None else frame.delta(use.against.cache)


COLUMNS = (
    Column("", 11, "text", lambda frame, use: frame.size(use.limit)),
    Column("time", 9, "dim", _time, 2),
    Column(None, 8, "speed", _speed),
    Column("half within", 12, "dim", _spread, 3),
    Column("cache", 10, "cache", lambda frame, use: frame.size(use.highs.cache), 1),
    Column("total", 10, "text", lambda frame, use: frame.size(use.highs.total), 1),
    Column("change of speed", 20, "text", _against),
    Column("of total", 12, "text", _total_more, 4),
    Column("of cache", 12, "text", _cache_more, 5),
    Column("work", 6, "dim", lambda _, use: f"{use.pieces:,}", 6),
)


def describe_change(effect: Effect) -> str:
    """A change of speed, or why it is not known, in at most 19 cells."""
    match effect.found:
        case "few":
            return f"not enough: {effect.pieces} of {LEAST}" if effect.pieces < LEAST else "not enough yet"
        case "unlike":
            return "nothing alike"
        case "same":
            return f"cannot tell ±{_percent((effect.high - effect.low) / 2)} %"
        case "differs":
            sign = "+" if effect.change > 0 else "-"
            least, most = sorted((abs(effect.low), abs(effect.high)))
            return f"{sign}{_percent(abs(effect.change))} % ({_percent(least)}–{_percent(most)})"


def _percent(share: float) -> str:
    return f"{share * 100:.1f}" if share < 0.9995 else f"{min(share, 9.99) * 100:.0f}"


class LimitComparison(Panel[Frame]):
    """A row for each limit in the order of use: time, speed, highest cache, highest active + cache, and the
    change from the first limit that had work."""

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        columns, uses = fitting(width), frame.uses
        rows = [self._heads(frame, columns, width)]
        room = height - 2
        if len(uses) > room:
            # The first limit, and the latest ones.
            uses = [*uses[:1], *uses[max(1, len(uses) - room + 1) :]]
        rows += [self._row(frame, use, columns, width) for use in uses]
        notes = [RULE[frame.session.steps_are == "tokens"]]
        if not uses:
            notes = ["waiting for MLX …"]
        elif len(uses) == 1 and SetLimit in frame.session.capabilities:
            then = ": it is compared with this one" if uses[0].pieces else ", once there was work to compare"
            notes.insert(0, f"[ and ] set another cache limit{then}")
        return rows + [self.row([(f" {note}", self.style("dim"))], width) for note in notes]

    def _heads(self, frame: Frame, columns: list[Column], width: int) -> Strip:
        title = " cache limits"
        heads = "".join(f"{frame.per_second if c.head is None else c.head:>{c.width}}" for c in columns)
        return self.row([(title, self.style("title")), (heads[len(title) :], self.style("dim"))], width)

    def _row(self, frame: Frame, use: Use, columns: list[Column], width: int) -> Strip:
        parts: list[Part] = [("▸" if use.present else " ", self.style("limit"))]
        for index, column in enumerate(columns):
            text = column.text(frame, use)
            colour = column.colour if use.against is None or column.text is not _against else _colour(use)
            parts.append((f"{text:>{column.width - (index == 0)}}", self.style(colour)))
        return self.row(parts, width)


def fitting(width: int) -> list[Column]:
    """The columns that fit into `width`."""
    for most in range(max(column.gives_way for column in COLUMNS), -1, -1):
        chosen = [column for column in COLUMNS if column.gives_way <= most]
        if sum(column.width for column in chosen) <= width:
            break
    return chosen


def _colour(use: Use) -> str:
    """The colour of a change: dim unless it is known."""
    known = use.against is not None and use.against.speed.found == "differs"
    return "text" if known else "dim"
