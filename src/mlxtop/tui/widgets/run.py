"""The run in figures: generations, first token, prompt speed, the highest peak, and how sampling goes."""

from textual.strip import Strip

from mlxtop.core.units import format_span
from mlxtop.tui.canvas import Canvas
from mlxtop.tui.frame import Frame

NAME = 13


class RunFigures(Canvas):
    """What there is room for only on a wide screen."""

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        state, last = frame.state, frame.state.generation
        late = f", {state.late:,} late" if state.late else ""
        rows = (
            ("generations", f"{state.generations:,}"),
            ("first token", format_span(last["ttft"]) if last else "—"),
            ("prompt", f"{last['prompt_tps']:,.0f} tok/s" if last else "—"),
            ("run peak", frame.size(frame.run_peak) if frame.sample else "—"),
            ("samples", f"{frame.session.history.count:,}{late}"),
        )
        return [
            self.row([(" run", self.style("title"))], width),
            *(
                self.row([(f" {name:<{NAME}}", self.style("dim")), (value, self.style("text"))], width)
                for name, value in rows
            ),
        ]
