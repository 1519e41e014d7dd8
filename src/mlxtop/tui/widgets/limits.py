"""The three limits: value, where it came from, what is pending, and the device's own ceilings."""

from textual.strip import Strip

from mlxtop.core.limits import KNOBS, MLX_DEFAULT, Knob, Limit
from mlxtop.core.text import one_line
from mlxtop.tui.canvas import Canvas, Part
from mlxtop.tui.frame import Frame

NAME = 11


class Limits(Canvas):
    """One row when there is no room, a table otherwise."""

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        if height == 1:
            return [self._short(frame, width)]
        rows = [self.row([(" limits", self.style("title"))], width)]
        rows += [self._long(frame, knob, width) for knob in KNOBS]
        dim, facts = self.style("dim"), frame.state.facts
        for name, key in (("device", "memory"), ("working set", "working_set")):
            rows.append(self.row([(f" {name:<{NAME}}{frame.size(facts.get(key)):>9}", dim)], width))
        return rows

    def _short(self, frame: Frame, width: int) -> Strip:
        parts: list[Part] = [(" limits ", self.style("title"))]
        for knob in KNOBS:
            limit = frame.state.limits[knob]
            parts.append((f" {knob} ", self.style("dim")))
            parts += self._value(frame, limit)
            parts.append((f" {who(limit)} ", self.style("dim")))
        return self.row(parts, width)

    def _long(self, frame: Frame, knob: Knob, width: int) -> Strip:
        limit = frame.state.limits[knob]
        value, *pending = self._value(frame, limit)
        head = [(f" {knob:<{NAME}}", self.style("text")), (f"{value[0]:>9}", value[1]), *pending]
        if pending:
            return self.row(head, width)
        origin, room = who(limit), max(0, width - NAME - 11)
        # A file and line say most at their end.
        origin = origin if len(origin) <= room else "…" + origin[len(origin) - room + 1 :] if room else ""
        return self.row([*head, (f" {origin}", self.style("dim"))], width)

    def _value(self, frame: Frame, limit: Limit) -> list[Part]:
        parts: list[Part] = [(frame.size(limit.value), self.style("text"))]
        if limit.pending is not None:
            parts.append((f" → {frame.size(limit.pending)} …", self.style("limit")))
        return parts


def who(limit: Limit) -> str:
    """Where a limit came from, in few words."""
    return {MLX_DEFAULT: "default", "": "—"}.get(limit.who, one_line(limit.who))
