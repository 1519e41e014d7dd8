"""The status row: an error, a pending or changed limit, an alarm, or the last event."""

from rich.cells import cell_len
from rich.cells import set_cell_size as cut_cells
from rich.style import Style
from textual.strip import Strip

from mlxtop.core.budget import ENTITLEMENT, MOVING
from mlxtop.core.events import (
    COLLECTOR,
    CacheCleared,
    Event,
    EventData,
    GarbageCollected,
    GenerationFinished,
    LimitChanged,
    MarkAdded,
    PeakReset,
    SessionEnded,
    TraceStarted,
    TraceStopped,
)
from mlxtop.core.limits import MLX_DEFAULT
from mlxtop.core.text import one_line
from mlxtop.tui.frame import Frame, effect, is_news
from mlxtop.tui.panel import Panel
from mlxtop.tui.panels.header import ROOM_FOR_OWN, own_cost
from mlxtop.tui.panels.limit_comparison import describe_change
from mlxtop.tui.panels.limits import alarm_colour, soon

NEWS: tuple[type[EventData], ...] = (
    CacheCleared, PeakReset, GarbageCollected, TraceStarted, TraceStopped, MarkAdded, LimitChanged,
)  # fmt: skip
NO_NEWS = ("mlxtop", "flag", MLX_DEFAULT, COLLECTOR)
UNTROUBLED = ("steady", "not enough data")
TODO = {"failed": "Press s to try again.", "idle": "Press s to continue."}
COUNTING = "counting arrays: waiting for a safe point, Esc cancels"
LASTS = 20.0
"""Seconds for which an event is shown."""


def _is_news(event: Event) -> bool:
    return event.source not in NO_NEWS and is_news(event)


class Status(Panel[Frame]):
    """The most important message of the moment, in the colour of its subject."""

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        colour, text, hint = self._news(frame)
        # Advice is never cut off. An error or an alarm is more important than the cost of mlxtop.
        alarm = colour == "alarm"
        end = hint or (own_cost(frame) if width < ROOM_FOR_OWN and not alarm else "")
        room = width - 2 - (len(end) + 2 if end else 0)
        text = text if cell_len(text) <= room else f"{cut_cells(text, room - 1)}…"
        gap = " " if hint else " " * (width - 1 - cell_len(text) - len(end) - (1 if end else 0))
        last = (end, self.style("text" if hint else "dim"))
        style = self.style(colour)
        if alarm:
            style = self.style("background") + Style(bgcolor=style.color)
        return [self.row([(f" {text}{gap}", style), last], width)]

    def _news(self, frame: Frame) -> tuple[str, str, str]:
        """Colour, text, and advice."""
        if frame.state.error is not None:
            return "limit", one_line(frame.state.error), TODO.get(frame.state.phase, "")
        if frame.state.warning is not None:
            return "limit", one_line(frame.state.warning), ""
        if frame.view.counting:
            return "mark", COUNTING, ""
        if end := frame.session.timeline.latest(SessionEnded):
            return "limit", one_line(end.describe()), ""
        pending = [(k, v) for k, v in frame.state.limits.items() if v.pending is not None]
        if pending:
            name, limit = pending[0]
            change = f"{name} limit {frame.size(limit.value)} → {frame.size(limit.pending)}"
            return "limit", f"{change}: waiting for a safe point", ""
        if frame.state.alarm:
            return alarm_colour(frame.state.alarm), self._alarm(frame), ""
        events: list[Event] = [
            event for kind in NEWS if (event := frame.session.timeline.latest(kind, _is_news))
        ]
        latest = max(events, key=lambda event: event.time, default=None)
        if latest is not None and isinstance(latest.data, LimitChanged):
            return "limit", self._effect(frame, self.size.width - 2), ""
        if latest is not None and frame.now - latest.time < LASTS:
            return "mark", one_line(latest.describe(frame.view.units)), ""
        return self._quiet(frame)

    def _quiet(self, frame: Frame) -> tuple[str, str, str]:
        """The row without recent events: a verdict on the run, or the last generation."""
        verdict = frame.diagnosis.verdicts[0] if frame.diagnosis is not None else None
        if verdict is not None and verdict.kind not in UNTROUBLED:
            return "text", one_line(verdict.line(frame.view.units)), "e explains."
        last = frame.session.timeline.latest(GenerationFinished)
        if last is not None:
            return "dim", "last: " + last.describe(frame.view.units), ""
        return "dim", one_line(verdict.line(frame.view.units)) if verdict is not None else "", ""

    def _alarm(self, frame: Frame) -> str:
        budget, level, left = frame.state.budget, frame.state.alarm, frame.headroom
        if budget is None or left is None:
            return f"{level} % of the budget"
        what = "budget reached" if level >= 100 else f"{level} % of the budget"
        rest = f"{frame.size(left)} left" if left >= 0 else f"{frame.size(-left)} over"
        soonest = f", in {soon(frame.reach)}" if frame.reach else ""
        used = f"{frame.size(frame.used)} of {frame.size(budget.bytes)}"
        more = f" · more: entitlement {ENTITLEMENT.rpartition('.')[2]}" if budget.source == MOVING else ""
        return f"{what}: {budget.against} {used}, {rest}{soonest}{more}"

    def _effect(self, frame: Frame, room: int) -> str:
        """Speed before and after a limit change and, if there is room, the change over comparable work."""
        found = effect(frame)
        if found is None:
            return ""
        before = "—" if found.before is None else f"{found.before:.1f}"
        after = "measuring" if found.after is None else f"{found.after:.1f}"
        what, steps = found.event.describe(frame.view.units), frame.session.steps_are
        text = one_line(f"{what} · {steps}/s before {before}, after {after}")
        alike = _alike(frame)
        return text + alike if cell_len(text + alike) <= room else text


def _alike(frame: Frame) -> str:
    """The change of the present limit from the first over comparable work, once it is known."""
    present = next((use for use in frame.uses if use.present), None)
    if present is None or present.against is None or present.against.speed.found not in ("same", "differs"):
        return ""
    return (
        f" · same work, {frame.size(frame.uses[0].limit)} as base: {describe_change(present.against.speed)}"
    )
