"""Dialogs over the dashboard."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from mlxtop.analysis.verdicts import Diagnosis
from mlxtop.core.budget import BudgetSpec, parse_budget, resolve
from mlxtop.core.errors import UsageError
from mlxtop.core.limits import LIMIT_NAMES, Limit, LimitName
from mlxtop.core.state import Mark
from mlxtop.core.text import one_line
from mlxtop.core.units import Size, Units, format_clock, format_size, parse_size
from mlxtop.tui.frame import Frame


class LimitDialog(ModalScreen[tuple[LimitName, Size] | None]):
    """Asks for a limit and its size. Returns `None` when cancelled."""

    BINDINGS = [
        Binding("escape", "dismiss(None)", "Leave"),
        Binding("tab", "next_limit(1)", "Next limit", priority=True),
        Binding("shift+tab", "next_limit(-1)", "Previous limit", priority=True),
    ]

    def __init__(self, limits: dict[LimitName, Limit], units: Units) -> None:
        super().__init__()
        self._limits = limits
        self._units = units
        self._limit_name: LimitName = LIMIT_NAMES[0]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label("", id="question", markup=False)
            yield Input(id="size", placeholder=" 0, 20M, 1.5GiB, 500MB, default or unlimited", compact=True)
            yield Label(
                "Enter sets the limit, Tab selects the next one, Escape cancels.",
                classes="hint",
                markup=False,
            )

    def on_mount(self) -> None:
        self._ask()
        self.query_one("#size").focus()

    def action_next_limit(self, direction: int) -> None:
        self._limit_name = LIMIT_NAMES[(LIMIT_NAMES.index(self._limit_name) + direction) % len(LIMIT_NAMES)]
        self._ask()

    def _ask(self) -> None:
        limit = self._limits[self._limit_name]
        now, default = format_size(limit.value, self._units), format_size(limit.default, self._units)
        self.query_one("#question", Label).update(
            f"{self._limit_name} limit (now {now}, MLX's default {default}):"
        )

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        try:
            self.dismiss((self._limit_name, parse_size(event.value)))
        except UsageError as error:
            self.query_one("#question", Label).update(one_line(str(error)))


class BudgetDialog(ModalScreen[BudgetSpec | None]):
    """Asks for a budget. Returns `None` when cancelled."""

    BINDINGS = [Binding("escape", "dismiss(None)", "Leave")]

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self._frame = frame

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self._question(), id="question", markup=False)
            yield Input(id="size", placeholder=" 500M, 12GiB, cgroup, device or none", compact=True)
            yield Label("Enter sets the budget, Escape cancels.", classes="hint", markup=False)

    def on_mount(self) -> None:
        self.query_one("#size").focus()

    def _question(self) -> str:
        budget, sample = self._frame.state.budget, self._frame.sample
        now = "none" if budget is None else self._frame.size(budget.bytes)
        used = (
            self._frame.size(sample and sample.footprint)
            if budget is None
            else self._frame.size(self._frame.used)
        )
        what = "footprint" if budget is None else budget.against
        return f"Budget (now {now}; {what} {used}):"

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        try:
            spec = parse_budget(event.value)
            resolve(spec, self._frame.state.facts, "keyboard")
        except UsageError as error:
            self.query_one("#question", Label).update(one_line(str(error)))
        else:
            self.dismiss(spec)


class Choice(NamedTuple):
    """One way to leave: its name in code, and its text on the screen."""

    name: str
    text: str


class LeaveDialog(ModalScreen[str | None]):
    """Asks how to leave. Returns the name of a choice, or `None` to stay. The first choice is the default."""

    BINDINGS = [Binding("escape", "dismiss(None)", "Stay")]

    def __init__(self, question: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._question = question
        self.choices = choices

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield Label(one_line(self._question), markup=False)
            yield OptionList(
                *(Option(one_line(choice.text)) for choice in self.choices), id="choices", markup=False
            )
            yield Label("Enter selects, Escape cancels.", classes="hint", markup=False)

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        options.highlighted = 0
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self.choices[event.option_index].name)


class MarkDialog(ModalScreen[tuple[str, bool] | None]):
    """Asks for a mark to measure from. Returns its name and whether it is new; `None` when cancelled."""

    BINDINGS = [Binding("escape", "dismiss(None)", "Leave")]

    def __init__(self, marks: list[Mark], chosen: Mark | None) -> None:
        super().__init__()
        self._marks = marks
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label("Measure from which mark?", markup=False)
            yield OptionList(*(Option(self._line(mark)) for mark in self._marks), id="marks", markup=False)
            yield Input(id="name", placeholder="or name a new mark here", compact=True)
            yield Label(
                "Enter selects, Tab switches to the name, Escape cancels.",
                classes="hint",
                markup=False,
            )

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        if self._chosen in self._marks:
            options.highlighted = self._marks.index(self._chosen)
        (options if self._marks else self.query_one(Input)).focus()

    def _line(self, mark: Mark) -> str:
        return f"{format_clock(mark.snapshot.time)}  {one_line(mark.name)}"

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss((self._marks[event.option_index].name, False))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self.dismiss((event.value.strip(), True))


class ExplainDialog(ModalScreen[None]):
    """Shows all verdicts on a run, each with advice, and `most`: the highest sizes in one sentence."""

    BINDINGS = [Binding("escape,e,q,enter", "dismiss(None)", "Close")]

    def __init__(self, diagnosis: Diagnosis, units: Units, most: str) -> None:
        super().__init__()
        self._diagnosis = diagnosis
        self._most = most
        self._units: Units = units

    def compose(self) -> ComposeResult:
        text = Text(f"The run up to {format_clock(self._diagnosis.time)}\n", style="bold")
        for verdict in self._diagnosis.verdicts:
            text.append(f"\n{one_line(verdict.line(self._units))}\n", style="bold")
            if verdict.advice:
                text.append(f"{one_line(verdict.advice)}\n", style="not bold")
        text.append(f"\n{self._most}\n", style="not bold")
        with VerticalScroll(classes="dialog wide"):
            yield Static(text)
