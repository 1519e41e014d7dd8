"""The three limits: value, where it came from, what is pending, and the device's own ceilings."""

from textual.strip import Strip

from mlxtop.core.limits import KNOBS, Knob, Limit
from mlxtop.core.text import one_line
from mlxtop.tui.canvas import Canvas, Part
from mlxtop.tui.frame import Frame


class Limits(Canvas):
    """One row when there is no room, a table otherwise."""

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        if height == 1:
            return [self._short(frame, width)]
        rows = [self.row([(" limits", self.style("title"))], width)]
        rows += [self._long(frame, knob, width) for knob in KNOBS]
        facts = frame.state.facts
        rows.append(self._fact("device memory", frame.size(facts.get("memory")), width))
        rows.append(self._fact("recommended most", frame.size(facts.get("working_set")), width))
        return rows

    def _short(self, frame: Frame, width: int) -> Strip:
        parts: list[Part] = [(" limits ", self.style("title"))]
        for knob in KNOBS:
            limit = frame.state.limits[knob]
            parts.append((f" {knob} ", self.style("dim")))
            parts += self._value(frame, limit)
            if knob == "cache":
                parts.append((f" {who(limit)}", self.style("dim")))
            parts.append((" ", self.style("dim")))
        return self.row(parts, width)

    def _long(self, frame: Frame, knob: Knob, width: int) -> Strip:
        limit = frame.state.limits[knob]
        value = self._value(frame, limit)
        pad = " " * max(0, 11 - len(value[0][0]))
        head: list[Part] = [(f" {knob:<7}{pad}", self.style("text")), *value]
        used = sum(len(text) for text, _ in head)
        origin = who(limit)
        room = max(0, width - used - 2)
        origin = origin if len(origin) <= room else "…" + origin[len(origin) - room + 1 :] if room else ""
        return self.row([*head, (f"  {origin}", self.style("dim"))], width)

    def _value(self, frame: Frame, limit: Limit) -> list[Part]:
        parts: list[Part] = [(frame.size(limit.value), self.style("text"))]
        if limit.pending is not None:
            parts.append((f" → {frame.size(limit.pending)} …", self.style("limit")))
        return parts

    def _fact(self, name: str, value: str, width: int) -> Strip:
        return self.row([(f" {name:<17}", self.style("dim")), (f"{value:>9}", self.style("dim"))], width)


def who(limit: Limit) -> str:
    """Where a limit came from, in few words."""
    return {"MLX's default": "default", "": "—"}.get(limit.who, one_line(f"by {limit.who}"))
