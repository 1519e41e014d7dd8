"""The screen of the steps in which the most memory was active."""

from collections.abc import Callable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.color import Color
from textual.screen import Screen
from textual.widgets import Footer, Static

from mlxtop.core.events import Event, StepPeaked
from mlxtop.core.peaks import HOW
from mlxtop.core.text import one_line
from mlxtop.core.units import Units, format_clock, format_size
from mlxtop.tui.binding import key
from mlxtop.tui.screens.help import Manual

REDRAW_EVERY = 1.0
WORDS = (
    (
        "step",
        "a call of mx.eval or mx.async_eval; where mlxtop runs the model, a token or a part of a prompt",
    ),
    ("peak", "the most that was active during the step"),
    ("above", "how far that is above what was active before the step"),
    ("when", "when the step ended, in the time of the run"),
    (
        "tokens",
        "those in the KV cache at the end of the step; in a watched program, of a prompt of mlx-lm only",
    ),
    ("async", "the step was only queued; what it frees later still counts"),
    ("several threads", "other threads had steps at the same time: it is the peak of all of them"),
    ("between two steps", "what item(), print, NumPy or C++ made: it is no step's"),
)
PROSE = (
    "Of steps of the same line and phase within one second the highest is listed.",
    "Only steps that raise the peak of the run are seen where mlxtop must leave MLX's peak alone: while "
    "steps of several threads overlap, where the program took a reference to mx.get_peak_memory or "
    "mx.reset_peak_memory before mlxtop came, and after C++ code reset the peak.",
)
PHASE = 9


class PeaksScreen(Screen[None]):
    """Shows what `steps` returns, the highest first, read once a second."""

    DEFAULT_CSS = """
    PeaksScreen #steps { height: 1fr; }
    PeaksScreen #notes { height: auto; padding: 0 1; color: $dim; }
    PeaksScreen #steps { text-wrap: nowrap; text-overflow: clip; }
    """
    MANUAL = Manual(words=WORDS, signs=(), prose=PROSE)
    BINDINGS = [key("escape,P", "dismiss", "back", "Go back to the dashboard", True, "esc")]

    def __init__(self, steps: Callable[[], Sequence[Event[StepPeaked]]], units: Units) -> None:
        super().__init__()
        self._steps = steps
        self._units = units

    def compose(self) -> ComposeResult:
        yield Static(id="steps")
        yield Static(id="notes")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self.call_after_refresh(self.draw))
        self.set_interval(REDRAW_EVERY, self.draw)
        self.call_after_refresh(self.draw)

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    def draw(self) -> None:
        """Draws the present state."""
        steps, width = self._steps(), self.size.width
        self.query_one("#steps", Static).update(
            self._table(steps, width) if steps else self._ink(" no step has raised the memory yet", "dim")
        )
        notes = [_note(how) for how in HOW if any(event.data.how == how for event in steps)]
        self.query_one("#notes", Static).update(Text("\n".join(notes)))

    def _table(self, steps: Sequence[Event[StepPeaked]], width: int) -> Text:
        has_tokens = any(event.data.tokens is not None for event in steps)
        heads = f" {'peak':>9}  {'above':>9}  {'when':>8}  {'phase':<{PHASE}} {'step':>9}"
        heads += f"  {'tokens':>7}" if has_tokens else ""
        rest = max(8, width - len(heads) - 3)
        rows = [self._ink(f"{heads}  called by", "title")]
        rows += [self._row(event, has_tokens, rest) for event in steps]
        return Text("\n").join(rows)

    def _row(self, event: Event[StepPeaked], has_tokens: bool, rest: int) -> Text:
        step = event.data
        phase = set_cell_size(one_line(step.phase), PHASE)
        tokens = "—" if step.tokens is None else f"{step.tokens:,}"
        number = f"{step.step:,}" if step.step else "—"
        where = ", ".join(word for word in (one_line(step.caller), HOW.get(step.how, "")) if word)
        return Text.assemble(
            self._ink(f" {format_size(step.peak, self._units):>9}", "peak"),
            self._ink(f"  {format_size(step.peak - step.floor, self._units):>9}", "text"),
            self._ink(f"  {format_clock(event.time):>8}  {phase} {number:>9}", "dim"),
            self._ink(f"  {tokens:>7}" if has_tokens else "", "dim"),
            self._ink(f"  {_end(where or '—', rest)}", "text"),
        )

    def _ink(self, text: str, colour: str) -> Text:
        # From the theme itself: panels of the screen below get a new theme only when they are shown again.
        variable = {"text": "foreground", "title": "label"}.get(colour, colour)
        ink = Color.parse(self.app.theme_variables[variable]).rich_color
        return Text(text, Style(color=ink, bold=colour == "title"), end="")


def _note(how: str) -> str:
    """What one of `HOW` means."""
    return next(f"{word}: {meaning}" for word, meaning in WORDS if word == HOW[how])


def _end(text: str, width: int) -> str:
    """`text` in at most `width` cells: the end of a path says most."""
    if cell_len(text) <= width:
        return text
    while cell_len(text) > width - 1:
        text = text[1:]
    return f"…{text}"
