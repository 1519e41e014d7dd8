"""The dashboard: everything about one session."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

from mlxtop.analysis.limit_comparison import Comparison
from mlxtop.analysis.verdicts import Diagnosis
from mlxtop.analysis.work import Use
from mlxtop.core.budget import BudgetSpec
from mlxtop.core.census import Census
from mlxtop.core.commands import (
    AddMark,
    ClearCache,
    Collect,
    ForgetConversation,
    RecordEvent,
    ResetPeak,
    SetLimit,
    SetTrace,
    StartWorkload,
    StopWorkload,
    SubmitPrompt,
    TakeCensus,
)
from mlxtop.core.events import CensusTaken, Event, LimitChanged, TraceStarted, TraceStopped
from mlxtop.core.limits import LimitName, step
from mlxtop.core.resample import Columns
from mlxtop.core.sample import Sample
from mlxtop.core.units import DEFAULT, Size
from mlxtop.sessions.budget_monitor import set_budget
from mlxtop.sessions.session import Capability, Session
from mlxtop.tui.binding import key
from mlxtop.tui.charts.axis import Axis
from mlxtop.tui.charts.sparkline import GUTTER, BufferChart, CacheChart, Chart, PeakChart, SpeedChart
from mlxtop.tui.frame import BUFFERS, Frame, Own, View, explain, gather, visible_columns
from mlxtop.tui.meter import Meter
from mlxtop.tui.panel import Panel, PanelRow
from mlxtop.tui.panels.at_peak import AtPeak
from mlxtop.tui.panels.breakdown import Breakdown
from mlxtop.tui.panels.delta import Delta
from mlxtop.tui.panels.header import Header
from mlxtop.tui.panels.keys import Keys
from mlxtop.tui.panels.limit_comparison import LimitComparison
from mlxtop.tui.panels.limits import Limits
from mlxtop.tui.panels.machine import Machine
from mlxtop.tui.panels.output import Output
from mlxtop.tui.panels.prompt import PromptLine
from mlxtop.tui.panels.run_stats import RunStats
from mlxtop.tui.panels.status import Status
from mlxtop.tui.screens.dialogs import BudgetDialog, ExplainDialog, LimitDialog, MarkDialog
from mlxtop.tui.textual_compat import Background, is_seen, repaint

if TYPE_CHECKING:
    from mlxtop.tui.trace_reader import Shown, TraceReader

FRAMES_PER_SECOND = 4
ALL_EVERY = 2
"""All panels are painted every so many frames. In between only those that stream are."""
EXPLAIN_EVERY = 5.0
KEYBOARD = "keyboard"
NEEDED: dict[str, Capability] = {
    "limit_step": SetLimit,
    "limit_default": SetLimit,
    "limit_exact": SetLimit,
    "clear_cache": ClearCache,
    "reset_peak": ResetPeak,
    "start_stop": StartWorkload,
    "prompt": SubmitPrompt,
    "forget": ForgetConversation,
    "collect": Collect,
    "census": TakeCensus,
    "mark": AddMark,
    "marks": AddMark,
    "budget": RecordEvent,
}
"""The command that each action sends. The key is hidden in a session without that capability."""
CHANGING = frozenset((*NEEDED, "trace"))
"""The actions that send a command."""
ELSEWHERE = "The trace is a file on the program's host: open it there with mlxtop trace show."
OLD_AGENT = "The agent in this program is of an older mlxtop, which cannot trace: start the program again with this one."
CENSUS_WITHIN = 3.0
"""Seconds to wait for a census before telling that the program has not reached a safe point."""


class Dashboard(Screen[None], Background):
    """Shows one session and sends it commands. Reads the session's data four times a second and never waits."""

    BINDINGS = [
        key("left_square_bracket", "limit_step(-1)", "limit−", "Cache limit one step down: … 100, 20, 2 MiB, 0", True, "["),
        key("right_square_bracket", "limit_step(1)", "+", "Cache limit one step up: … 100 MiB … MLX's default, unlimited", True, "]"),
        key("d", "limit_default", "Limit default", "Reset the cache limit to MLX's default"),
        key("l", "limit_exact", "set", "Set the cache, memory or wired limit to a typed size", True),
        key("b", "budget", "Budget", "Set a budget; alarms come at 80, 95 and 100 % of it"),
        key("c", "clear_cache", "clear", "Clear MLX's cache", True),
        key("r", "reset_peak", "reset peak", "Reset MLX's peak; the peak of the whole run is kept"),
        key("m", "mark", "mark", "Set a mark now and measure the delta from it", True),
        key("M", "marks", "Marks", "Choose a mark to measure from, or set one with a name", False, "M"),
        key("s", "start_stop", "start or stop", "Stop generating, start again, or retry a failed load", True),
        key("i,enter", "prompt", "prompt", "Type the next prompt; Enter sends it, Escape cancels", True, "i"),
        key("n", "forget", "New chat", "Start a new conversation and free the KV cache"),
        key("space", "pause", "pause", "Pause the display; sampling continues", True, "space"),
        key("minus", "zoom(1)", "Zoom out", "More time per column", False, "-"),
        key("plus,equals_sign", "zoom(-1)", "Zoom in", "Less time per column", False, "+"),
        key("left", "pan(-1)", "Pan to the past", "Show earlier times", False, "←"),
        key("right", "pan(1)", "Pan to the present", "Show later times", False, "→"),
        key("end,home", "live", "Follow the present", "Show the present again and follow it", False, "End"),
        key("pageup", "scroll(8)", "Output back", "Scroll back in the output", False, "PgUp"),
        key("pagedown", "scroll(-8)", "Output forward", "Scroll forward in the output", False, "PgDn"),
        key("g", "graph", "graph", "Show active, cache and peak in one large chart"),
        key("e", "explain", "explain", "Explain the state of the run, and what to do"),
        key("v", "compare", "Compare", "Compare the cache limits used in this run"),
        key("w", "census", "arrays", "List the live arrays, largest first"),
        key("P", "peaks", "Peaks", "List the steps in which the most memory was active", False, "P"),
        key("A", "trace", "Trace", "Trace every allocation into a file, or stop: what made the peak", False, "A"),
        key("G", "collect", "Collect", "Run Python's garbage collector in the program", False, "G"),
        key("o", "leave", "list", "Go back to the list of programs", True),
        key("u", "units", "Units", "Switch between MiB, GiB and MB, GB (as mlx-lm prints)"),
    ]  # fmt: skip
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide"), (150, "-vast")]
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (20, "-short"), (34, "-medium"), (46, "-tall")]
    AUTO_FOCUS = ""
    KEYS_AT_ONCE = True
    """Whether keys act at once, before the screen's message queue."""

    class Left(Message):
        """A person wants to go back to the list."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.view = View()
        self._meter = Meter(lambda: self.session.own_memory)
        self._own = Own()
        self._paused_at = 0.0
        self._diagnosis: Diagnosis | None = None
        self._explain_at = 0.0
        self._begun = False
        """Whether there was a sample at the last explanation."""
        self._comparison = Comparison(session)
        self._uses: Sequence[Use] = ()
        self._panels: list[Panel[Frame]] = []
        self._columns: Columns | None = None
        self._beats = 0
        self._unsubscribe: Callable[[], None] = lambda: None
        self._answer_due = False
        """Whether an answer has come that is not shown yet."""
        self._census_before: Event[CensusTaken] | None = None
        """The last census when another one was asked for."""
        self._census: int | None = None
        """The id of the last command that requested a census."""
        self._trace: TraceReader | None = None
        """Reads the trace that the program writes."""
        self._streamed: object = None
        """The state of the streaming data at the last beat."""

    def compose(self) -> ComposeResult:
        yield Header(id="header")
        yield Machine(id="machine")
        yield Chart("active", id="active")
        yield CacheChart("cache", id="cache")
        yield PeakChart("peak", id="peak")
        yield SpeedChart("speed", id="speed")
        yield BufferChart("buffers", id="buffers")
        yield Axis(id="axis")
        with PanelRow(id="panels"):
            yield Breakdown(id="breakdown")
            yield AtPeak(id="at-peak-short")
            yield Delta(id="delta")
            yield Limits(id="limits")
            yield RunStats(id="run-stats")
        yield Limits(id="limits-short")
        yield Status(id="status")
        with PanelRow(id="lower"):
            yield Output(id="output")
            yield AtPeak(id="at-peak")
            yield LimitComparison(id="limit-comparison")
        yield PromptLine(
            id="prompt",
            placeholder=self._invitation(),
            compact=True,
            disabled=SubmitPrompt not in self.session.capabilities,
        )
        yield Keys(id="keys")

    def on_mount(self) -> None:
        self._panels = list(self.query(Panel))
        self.set_interval(1 / FRAMES_PER_SECOND, self._beat)
        self._unsubscribe = self.session.subscribe(self._hear)

    def on_unmount(self) -> None:
        self._unsubscribe()
        if self._trace is not None:
            self._trace.stop()

    def _hear(self, item: Event | Sample) -> None:
        """Has the effect of a command shown. Called on the session's thread."""
        if isinstance(item, Event) and _is_answer(item) and not self._answer_due:
            # Once for as many as come until the screen gets there: an agent may send thousands.
            self._answer_due = True
            # The loop may have ended meanwhile.
            with suppress(RuntimeError):
                self.call_later(self._answered)

    def _answered(self) -> None:
        """Shows the effect of a command at once, not at the next tick."""
        self._answer_due = False
        taken = self.session.timeline.latest(CensusTaken)
        if self.view.counting and taken is not None and taken is not self._census_before:
            self._change_view(counting=False)
            self._show_census(taken.data.census)
        else:
            self.tick()

    def on_screen_resume(self) -> None:
        # At first, and when what lay over it is gone: under another screen it is not painted.
        self.call_after_refresh(self.tick)

    def _invitation(self) -> str:
        if SubmitPrompt not in self.session.capabilities:
            return ""
        return (
            "i: type the next prompt"
            if StartWorkload in self.session.capabilities
            else "i: type into the program"
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides the keys that this session does not support."""
        if action == "leave":
            return getattr(self.app, "fleet", None) is not None
        if action == "trace":
            # An older agent cannot; that is told when it is asked.
            return self.session.playhead is None and RecordEvent in self.session.capabilities
        needed = NEEDED.get(action)
        return needed is None or needed in self.session.capabilities

    # Showing

    def _beat(self) -> None:
        self._beats += 1
        state = self.session.state
        streamed = self.session.transcript.version, state.phase, state.progress
        if self._beats % ALL_EVERY == 0:
            self.tick()
        elif streamed != self._streamed:
            self._show(panel for panel in self._panels if panel.STREAMS)
        self._streamed = streamed

    def tick(self) -> None:
        """Draws the present moment."""
        self._own = self._meter.read()
        if not self.view.paused:
            self._columns = None
        self._uses = self._comparison.update(self._now())
        if len(self._uses) > 1:
            # It takes room from the output, so it appears only when there is something to compare.
            self.add_class("-comparing")
        self._explain()
        self._show(self._panels)

    def _show(self, panels: Iterable[Panel[Frame]]) -> None:
        if not self.is_attached or not self.size.width or not is_seen(self):
            return
        frame = self.frame()
        changes = [
            (panel, region) for panel in panels if panel.display for region in panel.update_frame(frame)
        ]
        if changes:
            repaint(self, changes)

    def frame(self) -> Frame:
        """The session as it is shown now, with the columns of the last complete frame."""
        now = self._now()
        count = max(1, self.size.width - GUTTER)
        if self._columns is None or len(self._columns.last["phase"]) != count:
            self._columns = visible_columns(self.session, self.view, count, now)
            if BUFFERS in self._columns.last:
                self.add_class("-buffers")
        diagnosis, uses = self._diagnosis, self._uses
        return gather(self.session, self.view, self._own, self._columns, now, diagnosis, uses, self._traced())

    def _traced(self) -> "Shown | None":
        """What is known of the last trace."""
        path = self.session.state.trace
        if path is None or self.session.playhead is not None:
            return None
        from mlxtop.tui.trace_reader import Shown, TraceReader

        self.add_class("-tracing")
        if self.session.process is None:
            return Shown(note=ELSEWHERE)
        if self._trace is None or self._trace.path != path:
            if self._trace is not None:
                self._trace.stop()
            started = getattr(self.session, "started", time.time() - self.session.now())
            self._trace = TraceReader(path, started, self._trace_changed)
            self._trace.start()
        return self._trace.shown

    def _trace_changed(self) -> None:
        """Shows what was read at once. Called on the reader's thread."""
        with suppress(RuntimeError):
            self.call_later(self.tick)

    def on_chart_picked(self, event: Chart.Picked) -> None:
        """Shows what was alive when most was, in the column that was clicked."""
        if self._trace is not None and self._columns is not None:
            begin = self._columns.start + event.column * self._columns.width
            self._trace.ask((begin, begin + self._columns.width))

    def _now(self) -> float:
        return self._paused_at if self.view.paused else self.session.now()

    def _explain(self) -> None:
        """Updates the verdicts, every few seconds: they are about minutes."""
        now = time.monotonic()
        # The first sample gives a verdict at once.
        if now >= self._explain_at or self._begun != (self.session.history.latest is not None):
            self._begun = self.session.history.latest is not None
            self._explain_at = now + EXPLAIN_EVERY
            self._diagnosis = explain(self.session, self.frame().now)

    def _change_view(self, **changes: object) -> None:
        """Changes the view and draws it at once, not at the next tick."""
        self._columns = None
        self.view = replace(self.view, **changes)  # type: ignore[arg-type]  # the callers name View's own fields
        self.tick()

    # Limits and counters

    def action_limit_step(self, direction: int) -> None:
        limit = self.session.state.limits["cache"]
        self._ask_limit("cache", step(limit, -1 if direction < 0 else 1))

    def action_limit_default(self) -> None:
        self._ask_limit("cache", DEFAULT)

    def action_limit_exact(self) -> None:
        def answered(answer: tuple[LimitName, Size] | None) -> None:
            if answer is not None:
                self._ask_limit(*answer)

        self.app.push_screen(LimitDialog(self.session.state.limits, self.view.units), answered)

    def _ask_limit(self, name: LimitName, size: Size) -> None:
        if self.session.state.limits[name].value is None:
            self.notify("The limits are not known yet: MLX is not loaded.", severity="warning")
            return
        self.session.submit(SetLimit(name, size, KEYBOARD))
        self.tick()

    def action_budget(self) -> None:
        def answered(spec: BudgetSpec | None) -> None:
            if spec is not None:
                set_budget(self.session, spec, KEYBOARD)
                self._change_view()

        if self.session.state.facts.known:
            self.app.push_screen(BudgetDialog(self.frame()), answered)
        else:
            self.notify("The device's memory is not known yet: MLX is not loaded.", severity="warning")

    def action_clear_cache(self) -> None:
        self.session.submit(ClearCache(KEYBOARD))

    def action_reset_peak(self) -> None:
        self.session.submit(ResetPeak(KEYBOARD))

    # Marks

    def action_mark(self) -> None:
        count = sum(mark.name.startswith("mark ") for mark in self.session.state.marks)
        self._mark(f"mark {count + 1}")

    def action_marks(self) -> None:
        def answered(answer: tuple[str, bool] | None) -> None:
            if answer is None:
                return
            name, new = answer
            if new:
                self._mark(name)
            else:
                self._change_view(mark=name)

        self.app.push_screen(MarkDialog(self.session.state.marks, self.frame().mark), answered)

    def _mark(self, name: str) -> None:
        self.session.submit(AddMark(name, KEYBOARD))
        self._change_view(mark=None)

    # The model

    def action_start_stop(self) -> None:
        if self.session.state.phase in ("idle", "failed"):
            self.session.submit(StartWorkload())
        else:
            self.session.submit(StopWorkload())

    def action_forget(self) -> None:
        self.session.submit(ForgetConversation())

    def action_prompt(self) -> None:
        # At once, not in the next turn of the loop: keys that follow are already text.
        self.set_focus(self.query_one(PromptLine))

    def on_descendant_focus(self) -> None:
        self.query_one(Keys).show(self.frame())

    def on_descendant_blur(self) -> None:
        self.query_one(Keys).show(self.frame())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value:
            self.session.submit(SubmitPrompt(self.query_one(PromptLine).text))
            event.input.clear()
        self.set_focus(None)

    def key_escape(self) -> None:
        if self.view.counting:
            self._change_view(counting=False)
        elif self._trace is not None and self._trace.shown.span is not None:
            self._trace.ask(None)
        elif self.focused is None:
            self.action_leave()
        self.set_focus(None)

    def action_leave(self) -> None:
        self.post_message(self.Left())

    def action_explain(self) -> None:
        frame = self.frame()
        unified, units = frame.state.facts.unified, self.view.units
        most = frame.most.describe(self.session.footprint_kind, unified, units)
        self.app.push_screen(ExplainDialog(explain(self.session, frame.now), units, most))

    def action_compare(self) -> None:
        from mlxtop.tui.screens.compare import Compare

        self.app.push_screen(Compare(self.frame))

    def action_collect(self) -> None:
        self.session.submit(Collect(KEYBOARD))

    def action_trace(self) -> None:
        if SetTrace not in self.session.capabilities:
            self.notify(OLD_AGENT, severity="warning")
            return
        self.session.submit(SetTrace(not self.session.state.tracing, KEYBOARD))

    def action_census(self) -> None:
        """Requests a census. It is shown when its event arrives."""
        self._census_before = self.session.timeline.latest(CensusTaken)
        self._census = self.session.submit(TakeCensus())
        self._change_view(counting=True)
        asked = self._census
        self.set_timer(CENSUS_WITHIN, lambda: self._give_up_census(asked))

    def _give_up_census(self, asked: int) -> None:
        if self.view.counting and self._census == asked:
            self._change_view(counting=False)
            self.notify(
                "The program has not reached a safe point yet. Press w to try again.",
                severity="warning",
            )

    def _show_census(self, census: Census) -> None:
        from mlxtop.tui.screens.census import CensusScreen

        if isinstance(self.app.screen, CensusScreen):
            self.app.screen.show(census)
        else:
            self.app.push_screen(CensusScreen(census, self.view.units, self.action_census))

    def action_peaks(self) -> None:
        from mlxtop.tui.screens.peaks import PeaksScreen

        self.app.push_screen(PeaksScreen(lambda: self.session.state.peaks, self.view.units))

    # The view

    def action_pause(self) -> None:
        if self.view.paused:
            self.action_live()
            return
        self._paused_at = self.session.now()
        self._change_view(paused=True, most=self.session.state.most)

    def action_zoom(self, direction: int) -> None:
        self._change_view(axis=self.view.axis.zoom(direction, self.session.interval))

    def on_chart_zoomed(self, event: Chart.Zoomed) -> None:
        self.action_zoom(event.direction)

    def action_pan(self, direction: int) -> None:
        columns = direction * max(1, (self.size.width - GUTTER) // 4)
        self._change_view(axis=self.view.axis.pan(columns, self._now()))

    def action_live(self) -> None:
        self._change_view(axis=replace(self.view.axis, end=None), paused=False, most=None)

    def action_scroll(self, rows: int) -> None:
        self.query_one(Output).scroll(rows)

    def action_units(self) -> None:
        self._change_view(units="decimal" if self.view.units == "binary" else "binary")

    def action_graph(self) -> None:
        # Importing plotext takes a fifth of a second: only the graph waits for it.
        from mlxtop.tui.screens.graph import Graph

        self.app.push_screen(Graph(self.frame))


def _is_answer(event: Event) -> bool:
    """Whether a command was carried out whose effect is shown at once. An agent of mlxtop 0.1 gives no number."""
    match event.data:
        case CensusTaken() | TraceStarted() | TraceStopped():
            return True
        case LimitChanged(asked=asked):
            return event.answers is not None or asked is not None
    return False
