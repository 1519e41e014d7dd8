"""The three limits with source and pending value, the budget, and the machine's bounds."""

from textual.strip import Strip

from mlxtop.core.limits import LIMIT_NAMES, MLX_DEFAULT, Limit, LimitName
from mlxtop.core.text import one_line
from mlxtop.core.units import format_span
from mlxtop.tui.frame import Frame
from mlxtop.tui.panel import Panel, Part

NAME = 11


class Limits(Panel[Frame]):
    """One row on small screens, otherwise a table."""

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        if height == 1:
            return [self._short(frame, width)]
        # Limits that cannot be set have no keys: this says why.
        why = f"   {reads_only}" if (reads_only := getattr(frame.session, "reads_only", "")) else ""
        rows = [self.row([(" limits", self.style("title")), (why, self.style("dim"))], width)]
        rows += [self._long(frame, name, width) for name in LIMIT_NAMES]
        return rows + [self._ceiling(*ceiling, width) for ceiling in ceilings(frame)]

    def _short(self, frame: Frame, width: int) -> Strip:
        parts = self._short_parts(frame, True)
        # If there is not enough room, MLX's defaults are not named.
        if sum(len(text) for text, _ in parts) > width:
            parts = self._short_parts(frame, False)
        return self.row(parts, width)

    def _short_parts(self, frame: Frame, with_defaults: bool) -> list[Part]:
        budget = frame.state.budget
        parts: list[Part] = [(" limits ", self.style("title"))]
        # With a budget there is only room for the cache limit.
        for name in LIMIT_NAMES if budget is None else LIMIT_NAMES[:1]:
            limit = frame.state.limits[name]
            parts.append((f" {name} ", self.style("dim")))
            parts += self._value(frame, name)
            origin = origin_text(limit) if with_defaults or limit.source != MLX_DEFAULT else ""
            parts.append((f" {held(frame, name)}{origin} ", self.style("dim")))
        for title, value, note, colour in ceilings(frame)[:2] if budget is not None else ():
            parts += [(f" {title} ", self.style("dim")), (value.strip(), self.style(colour))]
            parts.append((f" {note} ", self.style("dim")))
        return parts

    def _ceiling(self, name: str, value: str, note: str, colour: str, width: int) -> Strip:
        room = max(0, width - NAME - 11)
        note = note if len(note) <= room else note[: max(0, room - 1)] + "…"
        return self.row(
            [
                (f" {name:<{NAME}}", self.style("text" if colour != "dim" else "dim")),
                (f"{value:>9}", self.style(colour)),
                (f" {note}", self.style("dim")),
            ],
            width,
        )

    def _long(self, frame: Frame, name: LimitName, width: int) -> Strip:
        value, *pending = self._value(frame, name)
        head = [(f" {name:<{NAME}}", self.style("text")), (f"{value[0]:>9}", value[1]), *pending]
        if pending:
            return self.row(head, width)
        origin = self._origin(frame, name, max(0, width - NAME - 11))
        return self.row([*head, (f" {origin}", self.style("dim"))], width)

    def _origin(self, frame: Frame, name: LimitName, room: int) -> str:
        """The source of a limit, or the bound that applies in its place, in `room` cells."""
        origin, facts = origin_text(frame.state.limits[name]), frame.state.facts
        if lower := held(frame, name):
            ways = (f"{lower}{origin}", lower.strip(), f"by {one_line(facts.backend)}")
            return next((way for way in ways if len(way) <= room), "")
        if name == "wired" and facts.no_wiring:
            origin = one_line(facts.no_wiring)
        if len(origin) > room:
            origin = origin.rpartition("/")[2]
        # The end of a file and line says most.
        return origin if len(origin) <= room else "…" + origin[len(origin) - room + 1 :] if room else ""

    def _value(self, frame: Frame, name: LimitName) -> list[Part]:
        limit = frame.state.limits[name]
        value = limit.value if name != "cache" else frame.cache_limit
        parts: list[Part] = [(frame.size(value), self.style("text"))]
        if limit.pending is not None:
            parts.append((f" → {frame.size(limit.pending)} …", self.style("limit")))
        return parts


def held(frame: Frame, name: LimitName) -> str:
    """The limit that was set, if a lower bound applies; otherwise empty."""
    limit = frame.state.limits[name].value
    return f"of {frame.size(limit)} " if name == "cache" and frame.cache_limit != limit else ""


Ceiling = tuple[str, str, str, str]
"""Name, value, what to add, and the value's colour."""


def ceilings(frame: Frame) -> list[Ceiling]:
    """The bounds besides MLX's limits, the most important first."""
    facts, machine, budget = frame.state.facts, frame.machine, frame.state.budget
    rows: list[Ceiling] = []
    if budget is not None:
        rows.append(("budget", frame.size(budget.bytes), one_line(budget.source), "budget"))
        note = "" if frame.reach is None else "reached" if frame.reach <= 0 else f"in {soon(frame.reach)}"
        rows.append(("headroom", frame.size(frame.headroom), note, alarm_colour(frame.state.alarm)))
    limit = facts.cgroup_limit or machine.cgroup_limit
    if limit is not None:
        used = "" if machine.cgroup_used is None else f"{frame.size(machine.cgroup_used)} used"
        rows.append(("container", frame.size(limit), used, "dim"))
    in_use = "" if machine.device_used is None else f"{frame.size(machine.device_used)} used"
    rows.append(("device", frame.size(facts.memory), in_use, "dim"))
    chosen = "" if machine.wired_limit is None else "iogpu.wired_limit_mb"
    rows.append(("working set", frame.size(machine.wired_limit or facts.working_set), chosen, "dim"))
    return rows


def soon(seconds: float) -> str:
    """A remaining time as text, rounded to minutes from one minute on."""
    return format_span(round(seconds) if seconds < 60 else round(seconds / 60) * 60)


def alarm_colour(level: int) -> str:
    """The colour for an alarm level of a budget."""
    return "alarm" if level >= 95 else "budget" if level else "text"


def origin_text(limit: Limit) -> str:
    """The source of a limit as text."""
    return {MLX_DEFAULT: "default", "": "—"}.get(limit.source, one_line(limit.source))
