"""The fleet's screen: many sessions side by side, and which of them stands out."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Input

from mlxtop.core.transcript import Transcript
from mlxtop.sessions.session import Fleet, Member
from mlxtop.system import footprint
from mlxtop.tui.binding import key
from mlxtop.tui.charts.series_cache import SeriesCache, add
from mlxtop.tui.fleet_frame import (
    RATE,
    SLICE,
    Candidate,
    FleetFrame,
    Outlier,
    SessionRow,
    add_up,
    find_outlier,
    growth,
    lately,
    session_row,
    together,
)
from mlxtop.tui.frame import Own, View
from mlxtop.tui.heights import ROOM_FOR_OUTPUT, Heights, heights
from mlxtop.tui.meter import Meter
from mlxtop.tui.panels.fleetbar import FleetHeader, FleetMachine, FleetStatus
from mlxtop.tui.panels.output import Output
from mlxtop.tui.panels.prompt import PromptLine
from mlxtop.tui.panels.session_list import SessionList, SessionPicker, TimeLabels, TotalRow, UnattachedList
from mlxtop.tui.panels.session_row import ABOVE, BELOW, ENDED, FleetPanel, gutter
from mlxtop.tui.screens.help import PROSE, SIGNS, Manual
from mlxtop.tui.textual_compat import is_seen

FRAMES_PER_SECOND = 2
JUDGE_EVERY = 2.0
"""Seconds between two searches for an outlier: one that changed with every frame would not be readable."""
JUDGE_SHARE = 50
"""The pause after a search is at least so many times its duration: a large fleet is searched less often."""
UNSEEN_FRAMES = 4
"""Frames in which each member off the screen is read once. Meanwhile the sum has its last value."""
FINEST = 0.1


class Printed(NamedTuple):
    """The program's output."""

    transcript: Transcript


class OutputFrame(NamedTuple):
    """The part of a frame that the output pane needs."""

    session: Printed


MARKS = (
    (f"{ABOVE} {BELOW}", "this session holds more memory than the others, or less"),
    (ENDED, "the program has ended"),
)
READING = "Each chart shows active (blue) with the cache (yellow) on top. All charts have the same scale."


class FleetScreen(Screen[None]):
    """Shows the members of a fleet. Reads the fleet's data twice a second and never waits for it."""

    class Opened(Message):
        """A person wants to open the process `pid`: a member, or an unattached process."""

        def __init__(self, pid: int) -> None:
            super().__init__()
            self.pid = pid

    MANUAL = Manual(signs=(*MARKS, *SIGNS), prose=(*PROSE, READING))
    BINDINGS = [
        key("enter", "open", "open", "Open the selected session", True),
        key("up,k", "select(-1)", "Up", "Select the session above", False, "↑"),
        key("down,j", "select(1)", "choose", "Select the session above or below", True, "↑↓"),
        key("pageup", "page(-1)", "Page up", "Select a session one page up", False, "PgUp"),
        key("pagedown", "page(1)", "Page down", "Select a session one page down", False, "PgDn"),
        key("home", "select(-1000000)", "First", "Select the first session", False, "Home"),
        key("end", "select(1000000)", "Last", "Select the last session", False, "End"),
        key("i", "prompt", "type", "Type a line into the program; Enter sends it, Escape cancels", True),
        key("space", "pause", "pause", "Pause the display; sampling continues", True, "space"),
        key("minus", "zoom(1)", "Zoom out", "More time per column", False, "-"),
        key("plus,equals_sign", "zoom(-1)", "Zoom in", "Less time per column", False, "+"),
        key("left", "pan(-1)", "Pan to the past", "Show earlier times", False, "←"),
        key("right", "pan(1)", "Pan to the present", "Show later times", False, "→"),
        key("u", "units", "Units", "Switch between MiB, GiB and MB, GB (as mlx-lm prints)"),
    ]
    AUTO_FOCUS = ""
    KEYS_AT_ONCE = True
    DEFAULT_CSS = """
    FleetScreen { layout: vertical; overflow: hidden; }
    FleetScreen #prompt { height: 1; padding: 0 1; }
    FleetScreen #prompt:focus { background: $panel; }
    FleetScreen Footer { background: $panel; padding: 0 1; }
    """

    def __init__(self, fleet: Fleet) -> None:
        super().__init__()
        self.fleet = fleet
        self.view = View()
        self._selected: int | None = None
        self._touched = False
        """Whether a person has selected a line."""
        self._place = 0
        """The selected line's number, for when its process leaves the list."""
        self._origin: float | None = None
        """Seconds since the epoch at the fleet's time 0: when its first member began."""
        self._shown: dict[tuple[int, float], tuple[SeriesCache, SessionRow]] = {}
        """The members' series and rows, in their order."""
        self._frames = 0
        self._outlier: Outlier | None = None
        self._judge_at = 0.0
        self._growths: dict[int, tuple[float, int | None]] = {}
        """By process id: the slice of time in which it was measured, and the value."""
        self._own = Own()
        self._meter = Meter(footprint.reader())
        self._paused_at = 0.0
        self._heights: Heights | None = None
        self._panels: list[FleetPanel] = []
        self._output: Output | None = None

    def compose(self) -> ComposeResult:
        yield FleetHeader(id="header")
        yield FleetMachine(id="machine")
        yield SessionList(id="session-list")
        yield TotalRow(id="sum")
        yield TimeLabels(id="times")
        yield UnattachedList(id="unattached")
        yield FleetStatus(id="status")
        if self.fleet.transcript is not None:
            yield Output(id="output")
            invitation = "" if self.fleet.send_input is None else "i: type into the program"
            yield PromptLine(id="prompt", placeholder=invitation, compact=True)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self._panels = list(self.query(FleetPanel))
        if self.fleet.transcript is not None:
            self._output = self.query_one(Output)
        self.set_interval(1 / FRAMES_PER_SECOND, self.tick)
        self.call_after_refresh(self.tick)

    def on_resize(self) -> None:
        self.call_after_refresh(self.tick)

    def on_screen_resume(self) -> None:
        self.call_after_refresh(self.tick)

    # Showing

    def tick(self) -> None:
        """Draws the present moment."""
        # A hidden screen is not painted. The caches catch up with the next frame.
        if not self.is_attached or not self.size.width or not is_seen(self):
            return
        self._own = self._meter.read()
        frame = self.frame()
        self._arrange(frame)
        for panel in self._panels:
            if panel.display:
                panel.show(frame)
        if self._output is not None and self.fleet.transcript is not None and self._output.display:
            self._output.show(OutputFrame(Printed(self.fleet.transcript)))

    def frame(self) -> FleetFrame:
        """The fleet as it is shown now."""
        members, unattached = self.fleet.members(), self.fleet.unattached()
        given = heights(self.size.height, len(members), len(unattached), self.fleet.transcript is not None)
        if self._origin is None and members:
            self._origin = min(member.started for member in members)
        now, width = self.now(members), self.view.axis.width
        count = max(1, self.size.width - gutter(self.size.width, given.session))
        start = self.view.axis.start(count, now)
        pids = [member.pid for member in members]
        self._keep_selection([*pids, *(process.pid for process in unattached)])
        seen = self.query_one(SessionList).seen(
            pids, self._selected, self.size.width, given.session, given.session_list
        )
        self.fleet.look_at({pids[i] for i in seen})
        rows = self._rows(members, now, round(start / width), count, seen)
        self._judge(members, now)
        actives = add([cache.active for cache, _ in self._shown.values()], count)
        totals = add([cache.total for cache, _ in self._shown.values()], count)
        machine, bound = together(members)
        rates = {RATE.get(member.steps_are, "steps/s") for member in members}
        return FleetFrame(
            title=self.fleet.title,
            status=self.fleet.status(),
            rows=rows,
            unattached=unattached,
            view=self.view,
            own=self._own,
            start=start,
            rate=rates.pop() if len(rates) == 1 else "steps/s",
            row_height=given.session,
            width=self.size.width,
            selected=self._selected,
            outlier=self._outlier,
            sum=add_up(rows, actives, totals),
            machine=machine,
            bound=bound,
            trouble=self.fleet.trouble(),
        )

    def now(self, members: Sequence[Member]) -> float:
        """The fleet's time in seconds: that of the running member whose clock is furthest."""
        if self.view.paused:
            return self._paused_at
        clocks = [member.now() + self._offset(member) for member in members if member.ended is None]
        return max(clocks or [member.now() + self._offset(member) for member in members], default=0.0)

    def _offset(self, member: Member) -> float:
        return member.started - (self._origin or 0.0)

    def _rows(
        self, members: Sequence[Member], now: float, first: int, count: int, seen: range
    ) -> list[SessionRow]:
        """The members' rows. Of those that are not `seen`, one in `UNSEEN_FRAMES` is read in each frame."""
        shown: dict[tuple[int, float], tuple[SeriesCache, SessionRow]] = {}
        width = self.view.axis.width
        self._frames += 1
        for i, member in enumerate(members):
            # With several machines neither process ids nor ranks are unique.
            which = id(member.history), member.started
            offset = self._offset(member)
            old = self._shown.get(which)
            due = i in seen or (i + self._frames) % UNSEEN_FRAMES == 0 or self.view.paused
            if old is not None and not due and old[0].hold(first, count, width):
                shown[which] = old
                continue
            cache = old[0] if old is not None else SeriesCache(member.history, offset)
            cache.update(first, count, width, now)
            until = now - offset if self.view.paused else None
            shown[which] = cache, session_row(member, until, cache.active, cache.total)
        self._shown = shown
        return [row for _, row in shown.values()]

    def _judge(self, members: Sequence[Member], now: float) -> None:
        running = {m.pid for m in members if m.ended is None}
        gone = self._outlier is not None and self._outlier.pid not in running
        began = time.monotonic()
        if not gone and began < self._judge_at:
            return
        candidates = []
        for member in members:
            until = now - self._offset(member)
            held = lately(member, until) if member.ended is None else None
            if held is not None:
                candidates.append(Candidate(member.pid, member.label, held, self._growth(member, until)))
        self._outlier = find_outlier(candidates)
        ended = time.monotonic()
        self._judge_at = ended + max(JUDGE_EVERY, JUDGE_SHARE * (ended - began))

    def _growth(self, member: Member, until: float) -> int | None:
        """A member's growth, which changes with each slice of time only."""
        now = until // SLICE
        at, value = self._growths.get(member.pid, (-1.0, None))
        if at != now:
            value = growth(member, until)
            self._growths[member.pid] = now, value
        return value

    def _arrange(self, frame: FleetFrame) -> None:
        """Sets the height of each panel. Textual lays out again only when one changes."""
        prints = self._output is not None
        given = heights(self.size.height, len(frame.rows), len(frame.unattached), prints)
        if given == self._heights:
            return
        self._heights = given
        rows = {
            "session-list": given.session_list,
            "sum": given.sum,
            "unattached": given.unattached,
            "status": given.status,
            "machine": given.machine,
        }
        rows["times"] = int(bool(frame.rows))
        if prints:
            room = self.size.height >= ROOM_FOR_OUTPUT
            rows["output"], rows["prompt"] = given.rest * room, int(room)
        for name, height in rows.items():
            panel = self.query_one(f"#{name}")
            panel.display = height > 0
            panel.styles.height = height
        # The panels get their new size with the layout: paint after it.
        self.call_after_refresh(self.tick)

    # Selection

    def _keep_selection(self, pids: Sequence[int]) -> None:
        """Keeps a line selected: the first until a person selects one, the next when that one leaves."""
        if not pids:
            self._selected = None
        elif not self._touched:
            self._place, self._selected = 0, pids[0]
        elif pids[self._place : self._place + 1] == [self._selected]:
            return
        elif self._selected in pids:
            self._place = pids.index(self._selected)
        else:
            self._place = min(self._place, len(pids) - 1)
            self._selected = pids[self._place]

    def action_select(self, by: int) -> None:
        self._touched = True
        pids = [*(m.pid for m in self.fleet.members()), *(s.pid for s in self.fleet.unattached())]
        self._keep_selection(pids)
        if pids:
            self._place = max(0, min(len(pids) - 1, self._place + by))
            self._selected = pids[self._place]
        self.tick()

    def action_page(self, direction: int) -> None:
        given = self._heights
        fit = (given.session_list - min(given.session, 2)) // given.session if given else 1
        self.action_select(direction * max(1, fit))

    def action_open(self) -> None:
        self._touched = True
        if self._selected is not None:
            self.post_message(self.Opened(self._selected))

    def on_session_picker_picked(self, event: SessionPicker.Picked) -> None:
        if event.pid is None:
            self.action_select(event.by)
            return
        self._touched = True
        self._selected = event.pid
        self.tick()
        if event.opens:
            self.action_open()

    # Typing into the program

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides the key for typing where mlxtop does not have the program's standard input."""
        return action != "prompt" or self.fleet.send_input is not None

    def action_prompt(self) -> None:
        # At once, not in the next turn of the loop: keys that follow are already text.
        prompt = self.query_one(PromptLine)
        if prompt.display:
            self.set_focus(prompt)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        # An empty line is sent, too: the program may wait for one.
        if self.fleet.send_input is not None:
            self.fleet.send_input(self.query_one(PromptLine).text)
        event.input.clear()
        self.set_focus(None)

    def key_escape(self) -> None:
        self.set_focus(None)

    # The view

    def _change_view(self, **changes: object) -> None:
        """Changes the view and draws it at once, not at the next tick."""
        self.view = replace(self.view, **changes)  # type: ignore[arg-type]  # the callers name View's own fields
        self._judge_at = 0.0
        self.tick()

    def action_pause(self) -> None:
        if self.view.paused:
            self._change_view(axis=replace(self.view.axis, end=None), paused=False)
            return
        self._paused_at = self.now(self.fleet.members())
        self._change_view(paused=True)

    def action_zoom(self, direction: int) -> None:
        least = min((member.interval for member in self.fleet.members()), default=FINEST)
        self._change_view(axis=self.view.axis.zoom(direction, least))

    def action_pan(self, direction: int) -> None:
        members = self.fleet.members()
        given = self._heights.session if self._heights else 1
        columns = direction * max(1, (self.size.width - gutter(self.size.width, given)) // 4)
        self._change_view(axis=self.view.axis.pan(columns, self.now(members)))

    def action_units(self) -> None:
        self._change_view(units="decimal" if self.view.units == "binary" else "binary")
