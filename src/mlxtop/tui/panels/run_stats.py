"""Numbers of the run: the highest sizes, generations, first token, prompt speed, and samples."""

from textual.strip import Strip

from mlxtop.core.event import format_loss
from mlxtop.core.events import CacheCleared, LossReported
from mlxtop.core.machine import System
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.units import format_span
from mlxtop.tui.frame import Frame
from mlxtop.tui.panel import Panel

NAME = 13
MOST = ("run peak", "most held", "most charged")
"""Of arrays, of what MLX held, and of what the system charged."""


class RunStats(Panel[Frame]):
    """The numbers of the run, shown on wide screens."""

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        late = f", {frame.state.late:,} late" if frame.state.late else ""
        machine, most = frame.machine, frame.most
        sizes = (most.peak, most.total, most.footprint) if frame.sample else (None, None, None)
        rows = (
            *zip(MOST, map(frame.size, sizes), strict=True),
            *(self._model(frame) if frame.session.steps_are == "tokens" else self._program(frame)),
            ("samples", f"{frame.session.history.count:,}{late}"),
            *self._buffers(frame),
            *((("PSS", self._pss(frame, machine)),) if machine.pss else ()),
        )
        return [
            self.row([(" run", self.style("title"))], width),
            *(
                self.row([(f" {name:<{NAME}}", self.style("dim")), (value, self.style("text"))], width)
                for name, value in rows
            ),
        ]

    def _buffers(self, frame: Frame) -> tuple[tuple[str, str], ...]:
        """Live buffers, where a trace counts them: cached ones and those from before it come on top."""
        if frame.sample is None or frame.sample.buffers == UNKNOWN:
            return ()
        limit = frame.state.facts.resource_limit
        most = "" if limit is None else f" of {limit:,}"
        return (("buffers", f"at least {frame.sample.buffers:,}{most}"),)

    def _pss(self, frame: Frame, machine: System) -> str:
        age = f", {format_span(round(machine.pss_age))} ago" if machine.pss_age >= 2 else ""
        return f"{frame.size(machine.pss)}{age}"

    def _model(self, frame: Frame) -> tuple[tuple[str, str], ...]:
        state, last = frame.state, frame.state.generation
        return (
            ("generations", f"{state.generations:,}"),
            ("first token", format_span(last.ttft) if last else "—"),
            ("prompt", f"{last.prompt_tps:,.0f} tok/s" if last else "—"),
        )

    def _program(self, frame: Frame) -> tuple[tuple[str, str], ...]:
        cost = frame.session.agent_cost
        clears = frame.session.timeline.count(CacheCleared)
        return (
            *self._loss("loss", frame.state.loss),
            *self._loss("validation", frame.state.validation_loss),
            ("process", str(frame.state.facts.pid)),
            ("agent", "—" if cost is None else f"{cost * 100:.2f}% of a core"),
            ("cache clears", f"{clears:,}"),
        )

    def _loss(self, name: str, report: LossReported | None) -> tuple[tuple[str, str], ...]:
        return () if report is None else ((name, f"{format_loss(report.loss)} at {report.iteration:,}"),)
