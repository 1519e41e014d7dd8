"""What is sent to a terminal row by row makes the picture that is sent as a whole."""

from importlib.resources import files

import pyte
import pytest
from textual._compositor import CompositorUpdate
from textual.pilot import Pilot
from textual.widgets._toast import Toast

from mlxtop.tui.app import MlxtopApp
from tests.tui.painted import idle, until
from tests.tui.recorded import RecordedSession

SIZE = (120, 40)


class Shown(MlxtopApp):
    """Keeps the picture that its terminal would show."""

    CSS_PATH = str(files("mlxtop.tui") / "mlxtop.tcss")

    def __init__(self, session: RecordedSession) -> None:
        super().__init__(session)
        self.picture = pyte.Screen(*SIZE)
        self._stream = pyte.Stream(self.picture)

    def _display(self, screen, renderable):
        if isinstance(renderable, CompositorUpdate) and not self._batch_count:
            self._stream.feed(renderable.render_segments(self.console))

    def cells(self):
        width, height = SIZE
        return [[self.picture.buffer[y][x] for x in range(width)] for y in range(height)]


@pytest.fixture
def app(session: RecordedSession) -> Shown:
    return Shown(session)


async def _goes_on(pilot: Pilot, session: RecordedSession) -> None:
    """A frame later every panel has news. The picture must not change when it is painted as a whole."""
    session.pass_time(1.0, active=90 * 2**20, tokens=5_000)
    for number in range(40):
        session.transcript.write("out", f"line {number} at {session.now()}\n")
    pilot.app.dashboard.tick()
    by_rows = await _drawn(pilot)
    assert any(f"line 39 at {session.now()}" in line for line in pilot.app.picture.display)
    pilot.app.screen.refresh()
    whole = await _drawn(pilot)
    assert [y for y, row in enumerate(whole) if row != by_rows[y]] == []


async def _drawn(pilot: Pilot):
    """The picture when nothing waits to be drawn any more."""
    for _ in range(2):
        await idle(pilot)
        await until(pilot, lambda: not any(screen._dirty_widgets for screen in pilot.app.screen_stack))
    return pilot.app.cells()


async def test_the_rows_sent_make_the_whole_picture(app: Shown, session: RecordedSession) -> None:
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "▸ a prompt of 320 tokens" in "\n".join(app.picture.display))
        await _goes_on(pilot, session)
        # Under a notice, which stays whole.
        app.notify("a notice\n" * 12, timeout=1000)
        await until(pilot, lambda: any(toast.region for toast in app.screen.query(Toast)))
        await _goes_on(pilot, session)
        app.clear_notifications()
        # Under a dialog.
        await pilot.press("e")
        await _goes_on(pilot, session)
        await pilot.press("escape")
        # Beside a panel that appears.
        app.screen.add_class("-comparing")
        await _goes_on(pilot, session)
        # What is held back comes later.
        session.pass_time(1.0, active=80 * 2**20)
        with app.batch_update():
            app.dashboard.tick()
        by_rows = await _drawn(pilot)
        app.screen.refresh()
        assert await _drawn(pilot) == by_rows
