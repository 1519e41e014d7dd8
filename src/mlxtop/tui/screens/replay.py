"""The dashboard of a recording, with keys that move through time."""

from textual.binding import Binding

from mlxtop.core.playhead import Playhead
from mlxtop.tui.binding import key
from mlxtop.tui.charts.sparkline import GUTTER
from mlxtop.tui.screens.dashboard import Dashboard

LIVE = ("pause", "pan", "live")
"""Actions of a live session whose keys have another meaning here."""


class Replay(Dashboard, inherit_bindings=False):
    """Shows a session of a recording at its playhead."""

    BINDINGS = [
        *(b for b in Dashboard.BINDINGS if isinstance(b, Binding) and b.action.partition("(")[0] not in LIVE),
        key("space", "play", "play", "Play or pause", True, "space"),
        key("left", "seek(-1)", "back", "Go back by a quarter of the screen", True, "←"),
        key("right", "seek(1)", "on", "Go forward by a quarter of the screen", True, "→"),
        key("comma,less_than_sign", "faster(-1)", "slower", "Play slower, down to a quarter of real time", True, ","),
        key("full_stop,greater_than_sign", "faster(1)", "faster", "Play faster, up to 600 times real time", True, "."),
        key("home", "begin", "Begin", "Go to the beginning", False, "Home"),
        key("end", "finish", "End", "Go to the end", False, "End"),
    ]  # fmt: skip

    @property
    def playhead(self) -> Playhead:
        found = self.session.playhead
        assert found is not None
        return found

    def action_play(self) -> None:
        self.playhead.toggle()
        self._change_view()

    def action_seek(self, direction: int) -> None:
        columns = max(1, (self.size.width - GUTTER) // 4)
        self._go(self.playhead.now() + direction * columns * self.view.axis.width)

    def action_begin(self) -> None:
        self._go(0.0)

    def action_finish(self) -> None:
        self._go(self.playhead.end)

    def action_faster(self, steps: int) -> None:
        self.playhead.faster(steps)
        self._change_view()

    def _go(self, at: float) -> None:
        self.playhead.seek(at)
        self._change_view()
