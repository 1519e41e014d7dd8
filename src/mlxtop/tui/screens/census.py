"""The screen of a census: a program's arrays and what holds them."""

import re
import textwrap
import time
from collections.abc import Callable
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.color import Color
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from mlxtop.core.census import PARTS, Census, Holding, Part
from mlxtop.core.census_diff import diff
from mlxtop.core.census_text import graphs, label, reasons, rest_in_graphs
from mlxtop.core.text import one_line
from mlxtop.core.units import Units, format_size, format_span
from mlxtop.tui.binding import key
from mlxtop.tui.screens import census_changes
from mlxtop.tui.screens.help import Manual
from mlxtop.tui.wrap import fit

# The name of each part, and its colour in `tui.theme`.
NAMES: Final[dict[Part, tuple[str, str]]] = {
    "weights": ("weights", "weights"),
    "kv": ("KV cache", "kv"),
    "optimizer": ("optimizer", "own"),
    "other": ("other", "other"),
    "garbage": ("only garbage", "limit"),
}
SIZE, PART, DTYPE = 9, 9, 9
INDENT = 3
WIDEST_SHAPE = 20
MANUAL = Manual(
    words=(
        ("accounted", "the share of active that belongs to the arrays found"),
        ("weights", "arrays of modules (nn.Module)"),
        ("KV cache", "keys and values of the tokens so far"),
        ("optimizer", "an optimizer's state"),
        ("other", "all other arrays"),
        ("only garbage", "arrays that the program cannot reach any more; G returns them"),
        ("in flight", "memory of queued work, given back while the arrays were counted"),
        ("not accounted", "memory that no array has that Python can see, and what may hold it"),
        ("in graphs", "the same, where nothing but graphs of what is not computed can hold it"),
        ("held by", "the object that holds the array, and the path to it; […]: any index or key"),
        ("views", "arrays that share a buffer with another; it counts once"),
    ),
    signs=(
        ("■", "the colour of a part, in the bar, the list and the table"),
        ("□", "an array that is not computed yet: what it is computed from stays alive for it"),
    ),
    prose=(
        "The arrays were counted once, at a safe point. Press a to count them again, w to see what appeared "
        "and vanished since.",
    ),
)
OWNERS_PLACE = re.compile(r" in \S+(?: \S+\(\))?(?=: )")
"""The place of the variable `errors` in `errors[…] in a.py:68 main(): ValueError keeps f() alive`."""
ROOMY = 100
"""On narrower screens a part is shown by its colour alone, to leave room for the holder."""


class CensusScreen(Screen[None]):
    """Shows a census: how much of `active` it accounts for, its parts, and the largest arrays.

    `again` requests another census. Pass that one to `show`.
    """

    DEFAULT_CSS = """
    CensusScreen #parts, CensusScreen #heading { height: auto; }
    CensusScreen #holdings {
        height: 1fr; scrollbar-size-vertical: 1; scrollbar-background: $background; scrollbar-color: $faint;
    }
    CensusScreen Static { text-wrap: nowrap; text-overflow: clip; }
    """
    MANUAL = MANUAL
    BINDINGS = [
        key("escape", "dismiss", "back", "Go back to the dashboard", True, "esc"),
        key("a", "again", "again", "Count the live arrays again", True),
        key("w", "changes", "changes", "Count them again, and show what appeared and vanished since", True),
    ]

    def __init__(self, census: Census, units: Units, again: Callable[[], None]) -> None:
        super().__init__()
        self._census = census
        self._units = units
        self._again = again
        self._earlier: Census | None = None
        """The census whose changes are shown; `None` where the present one is listed."""
        self._comparing = False
        """Whether the next census is compared with this one."""

    def compose(self) -> ComposeResult:
        yield Static(id="parts")
        yield Static(id="heading")
        with VerticalScroll(id="holdings"):
            yield Static(id="table")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self.call_after_refresh(self.draw))
        self.query_one("#holdings").focus()
        self.call_after_refresh(self.draw)

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    def show(self, census: Census) -> None:
        """Replaces the census that is shown."""
        self._earlier = self._census if self._comparing else None
        self._census, self._comparing = census, False
        if self.is_mounted:
            self.draw()

    def action_again(self) -> None:
        self._comparing = False
        self._again()

    def action_changes(self) -> None:
        self._comparing = True
        self._again()

    def draw(self) -> None:
        """Draws the census, or its changes, for the present size and theme."""
        width = self.size.width - 1  # the scrollbar's
        if self._earlier is not None:
            self._draw(
                *census_changes.lines(diff(self._earlier, self._census), width, self._units, self._ink)
            )
            return
        columns = _columns(self._census.holdings, width)
        rows = [self._row(holding, columns) for holding in self._census.holdings]
        self._draw(
            self._parts(width), self._heading(columns), rows or [self._ink(" no arrays were found", "dim")]
        )

    def _draw(self, parts: Text, heading: Text, rows: list[Text]) -> None:
        self.query_one("#parts", Static).update(parts)
        self.query_one("#heading", Static).update(heading)
        self.query_one("#table", Static).update(Text("\n").join(rows))

    def _parts(self, width: int) -> Text:
        """The headline, the bar, and a line for each part."""
        return Text("\n").join(
            [
                self._headline(width),
                self._bar(width),
                *(self._part(part) for part in PARTS if part != "garbage" or self._census.counts[part]),
                *self._graphs(width),
                *self._in_flight(),
                *self._rest(width),
                *self._lazy(),
                Text(),
            ]
        )

    def _headline(self, width: int) -> Text:
        census = self._census
        found = format_size(census.accounted, self._units)
        active = format_size(census.active, self._units)
        text = Text.assemble(
            self._ink(" accounted ", "title"),
            self._ink(_share(census.explained).strip(), "text"),
            self._ink(f"   {found} of {active} active", "dim"),
        )
        when = self._ink(time.strftime("%H:%M:%S, ", time.localtime(census.time)), "dim")
        took = format_span(round(census.seconds, 2 if census.seconds > 0.1 else 3))
        if census.whole:
            when.append_text(self._ink(f"took {took}", "dim"))
        else:
            when.append_text(self._ink(f"time ran out ({took})", "limit"))
        return text.append(" " * max(1, width - text.cell_len - when.cell_len)).append_text(when)

    def _bar(self, width: int) -> Text:
        census, text = self._census, Text(" ")
        whole = max(census.active, census.accounted)
        room, seen, drawn = width - 1, 0, 0
        for part in PARTS:
            seen += census.parts[part]
            end = round(seen / whole * room) if whole else 0
            text.append_text(self._ink("█" * (end - drawn), NAMES[part][1]))
            drawn = end
        return text.append_text(self._ink("█" * (room - drawn), "faint"))

    def _part(self, part: Part) -> Text:
        name, colour = NAMES[part]
        census = self._census
        size, count = census.parts[part], census.counts[part]
        share = _share(size / census.active if census.active else None)
        arrays = _arrays(count) + ("   G returns it" if part == "garbage" else "")
        return Text.assemble(
            self._ink(" ■ ", colour),
            self._ink(f"{name:<14}{format_size(size, self._units):>{SIZE}}", "text"),
            self._ink(f"  {share}  {arrays:>14}", "dim"),
        )

    def _graphs(self, width: int) -> list[Text]:
        """What only graphs have, of the parts above, and what to do about it."""
        why = graphs(self._census)
        if not why:
            return []
        line = f"   {'in graphs':<14}{format_size(self._census.in_graphs, self._units):>{SIZE}}  of the above"
        return [self._ink(line, "dim"), *self._told(why, width)]

    def _in_flight(self) -> list[Text]:
        size = self._census.in_flight
        return [self._left("in flight", size, "queued work gave it back meanwhile", "faint")] if size else []

    def _rest(self, width: int) -> list[Text]:
        """What of `active` no array has, and what may hold it; or by how much the arrays exceed it."""
        census = self._census
        beyond = census.accounted - census.active
        if beyond > 0:
            return [self._left("beyond active", beyond, "views are counted in full", "faint")]
        why = "" if census.whole else "time ran out: press a to count longer"
        name = "in graphs" if rest_in_graphs(census) else "not accounted"
        lines = [self._left(name, census.rest, why, "faint")]
        for reason in reasons(census):
            lines += self._told(reason, width)
        return lines

    def _told(self, text: str, width: int) -> list[Text]:
        told = textwrap.wrap(one_line(text), width - INDENT, max_lines=2, placeholder="…")
        return [self._ink(" " * INDENT + line, "dim") for line in told]

    def _left(self, name: str, size: int, why: str, colour: str) -> Text:
        share = _share(size / self._census.active if self._census.active else None)
        return Text.assemble(
            self._ink(" ■ ", colour),
            self._ink(f"{name:<14}{format_size(size, self._units):>{SIZE}}", "text"),
            self._ink(f"  {share}   {why}", "dim"),
        )

    def _lazy(self) -> list[Text]:
        """The arrays that are not computed yet, if any. They are not part of `active`."""
        census = self._census
        if not census.lazy_known:
            text = f"{'not computed':<14}{'—':>{SIZE}}"
            more = f"  {'':5}   counted above: not known before MLX 0.32.3"
            return [Text.assemble(self._ink(" □ ", "faint"), self._ink(text, "text"), self._ink(more, "dim"))]
        if not census.lazy_count:
            return []
        text = f"{'not computed':<14}{format_size(census.lazy, self._units):>{SIZE}}"
        more = f"  {'':5}  {_arrays(census.lazy_count):>14}   their graphs may hold more"
        return [Text.assemble(self._ink(" □ ", "faint"), self._ink(text, "text"), self._ink(more, "dim"))]

    def _heading(self, columns: tuple[int, int, int]) -> Text:
        part, shape, _ = columns
        text = f" {'size':>{SIZE}}    {'part':<{part}.{part}}{'shape':<{shape}}  {'type':<{DTYPE}}  held by"
        return self._ink(text, "title")

    def _row(self, holding: Holding, columns: tuple[int, int, int]) -> Text:
        name, colour = NAMES[holding.part]
        part, shape, holder = columns
        return Text.assemble(
            self._ink(f" {format_size(holding.nbytes, self._units):>{SIZE}}  ", "text"),
            self._ink("■ " if holding.computed else "□ ", colour),
            self._ink(f"{name:<{part}.{part}}", "dim"),
            self._ink(set_cell_size(fit(_shape(holding), shape), shape) + "  ", "text"),
            self._ink(set_cell_size(fit(one_line(holding.dtype), DTYPE), DTYPE) + "  ", "dim"),
            self._ink(_fit_holder(one_line(label(holding)), holder), "text"),
        )

    def _ink(self, text: str, colour: str) -> Text:
        # From the theme itself: panels of the screen below get a new theme only when they are shown again.
        variable = {"text": "foreground", "title": "label"}.get(colour, colour)
        ink = Color.parse(self.app.theme_variables[variable]).rich_color
        return Text(text, Style(color=ink, bold=colour == "title"), end="")


def _arrays(count: int) -> str:
    return f"{count:,} array" + ("" if count == 1 else "s")


def _columns(holdings: tuple[Holding, ...], width: int) -> tuple[int, int, int]:
    """Widths in cells of the part, the shape and the holder, which takes the rest."""
    part = PART + 2 if width >= ROOMY else 0
    shape = min(WIDEST_SHAPE, max([6, *(len(_shape(holding)) for holding in holdings)]))
    return part, shape, max(8, width - (1 + SIZE + 4 + part + shape + 2 + DTYPE + 2))


def _fit_holder(text: str, width: int) -> str:
    """`text` in at most `width` cells: where an owner's variable is goes first."""
    return fit(OWNERS_PLACE.sub("", text) if cell_len(text) > width else text, width)


def _shape(holding: Holding) -> str:
    return "×".join(map(str, holding.shape)) or "scalar"


def _share(share: float | None) -> str:
    """Five cells: `98.6%`, ` 100%`, `    —`."""
    if share is None:
        return "    —"
    return f"{share:5.0%}" if share >= 0.9995 else f"{share:5.1%}"
