"""The first row: program, device, phase, speed, time, and the cost of mlxtop."""

from rich.style import Style
from textual.strip import Strip

from mlxtop.core.event import describe_loss
from mlxtop.core.phases import phase_colour
from mlxtop.core.text import one_line, shortened
from mlxtop.core.units import format_clock, format_span
from mlxtop.tui.frame import Frame
from mlxtop.tui.panel import Panel, Part

ROOM_FOR_OWN = 100
"""From this width on the header shows the cost of mlxtop; below it the status row does."""
ROOM_FOR_LOSS, ROOM_FOR_TRAINING = 100, 130
"""From these widths on the header shows the loss of a training, and its speed."""
TRACING = "◉ trace "
"""Shown while every allocation is traced."""
PHASE_MOST = 32
"""Characters of a phase that are shown."""


def phase_ink(name: str) -> str:
    """The colour of a phase's text: the background colour of idle would be hard to read."""
    return "dim" if name == "idle" else phase_colour(name)


def own_cost(frame: Frame) -> str:
    """The cost of mlxtop as text: share of a core, and memory."""
    cpu = "—" if frame.own.cpu is None else f"{frame.own.cpu * 100:.1f}%"
    return f"self {cpu:>5} {frame.size(frame.own.memory):>9}"


class Header(Panel[Frame]):
    """Model and device on the left; phase with progress, speed, time and cost on the right."""

    STREAMS = True

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        right = self._right(frame, width)
        room = width - sum(len(text) for text, _ in right) - 1
        left = self._left(frame, max(0, room))
        gap = room - sum(len(text) for text, _ in left)
        return [self.row([*left, (" " * (gap + 1), self.style("text")), *right], width)]

    def _left(self, frame: Frame, room: int) -> list[Part]:
        facts, dim = frame.state.facts, self.style("dim")
        model = one_line(frame.session.title)
        device = one_line(f"{facts.device} · {facts.backend}") if facts.known else "…"
        ceiling = frame.size(facts.memory)
        parts: list[Part] = [(" mlxtop ", self._title(frame.state.alarm))]
        room -= 8
        if room < 4:
            return parts if room >= 0 else []
        rank = getattr(frame.session, "rank", None)
        if rank is not None and room > 20:
            parts.append((f"rank {rank} · ", self.style("label")))
            room -= len(parts[-1][0])
        if len(model) > room:
            # The end of a path says most, and the beginning of a command.
            model = model[: room - 1] + "…" if " " in model else "…" + model[len(model) - room + 1 :]
        parts.append((model, self.style("text")))
        room -= len(model)
        if room >= len(device) + 3:
            parts.append((f" · {device}", dim))
            room -= len(device) + 3
        if facts.known and room >= len(ceiling) + 3:
            parts.append((f" · {ceiling}", dim))
        return parts

    def _title(self, alarm: int) -> Style:
        """The style of the name: the colour of the budget's alarm, if there is one."""
        if not alarm:
            return self.style("title")
        ground = self.style("alarm" if alarm >= 95 else "budget").color
        return self.style("background") + Style(bgcolor=ground, bold=True)

    def _right(self, frame: Frame, width: int) -> list[Part]:
        text, dim = self.style("text"), self.style("dim")
        parts: list[Part] = [(TRACING, self.style("limit"))] if frame.state.tracing else []
        parts.append(self._phase(frame, width))
        rate = (
            "—" if frame.speed is None else f"{frame.speed:.1f}" if frame.speed >= 1 else f"{frame.speed:.2g}"
        )
        parts.append((f" {rate:>6}", self.style("speed")))
        parts.append((f" {frame.per_second}", dim))
        if width >= 60:
            parts.append((f"  {self._clock(frame)}", text))
        if width >= ROOM_FOR_OWN:
            parts.append((f"  {own_cost(frame)}", dim))
        parts.append((" ", text))
        return parts

    def _clock(self, frame: Frame) -> str:
        """The session's time; for a replay also its speed and its end."""
        playhead = frame.session.playhead
        if playhead is None:
            return format_clock(frame.now)
        pace = f"▶ {playhead.speed:g}×" if playhead.playing else "⏸"
        return f"{pace} {format_clock(frame.now)} of {format_clock(playhead.end)}"

    def _loss(self, frame: Frame, width: int) -> str:
        """The iteration of a training that was reported last, its loss and its speed; empty without one."""
        state = frame.state
        if state.phase != "train" or state.loss is None:
            return ""
        told = describe_loss(state.loss).split(" · ")
        return " " + " · ".join(told[: 1 + (width >= ROOM_FOR_LOSS) + (width >= ROOM_FOR_TRAINING)])

    def _phase(self, frame: Frame, width: int) -> Part:
        state = frame.state
        phase, progress = shortened(one_line(state.phase), PHASE_MOST), state.progress
        done = self._loss(frame, width)
        if done:
            pass
        elif progress is not None and progress.total > 0:
            if state.phase in ("load", "download"):
                done = f" {progress.done * 100 // progress.total}%"
            else:
                done = f" {progress.done}/{progress.total}"
        elif state.phase_since and (seconds := int(frame.now - state.phase_since)) >= 1:
            done = f" {format_span(seconds)}"
        word = "⏸ paused" if frame.view.paused else f"● {phase}{done}"
        colour = "limit" if frame.view.paused else phase_ink(state.phase)
        # Without colour some of these would be too pale.
        return (f"{word:>18}", self.style("text" if self.app.no_color else colour))
