"""What lies under another screen is not painted, and is as of now when it comes back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual.pilot import Pilot
from textual.screen import ModalScreen, Screen

from mlxtop.tui.app import MlxtopApp
from mlxtop.tui.panels.header import Header
from mlxtop.tui.panels.output import Output
from mlxtop.tui.screens.dashboard import Dashboard
from mlxtop.tui.screens.fleet import FleetScreen
from mlxtop.tui.textual_compat import is_seen
from tests.tui.fleet import RecordedFleet
from tests.tui.painted import idle, painted, until
from tests.tui.recorded import RecordedSession

SIZE = (120, 40)


class Painted:
    """How often a class's `paint` was called, from here on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, widget) -> None:
        self.times = 0
        paint = widget.paint

        def count(panel, *given):
            self.times += 1
            return paint(panel, *given)

        monkeypatch.setattr(widget, "paint", count)


@asynccontextmanager
async def listing(members: int) -> AsyncIterator[Pilot]:
    app = MlxtopApp(fleet=RecordedFleet(members), alone=False)
    async with app.run_test(size=SIZE) as pilot:
        await idle(pilot)
        yield pilot


@asynccontextmanager
async def opened(members: int = 1) -> AsyncIterator[tuple[Pilot, FleetScreen, Dashboard]]:
    """The list, and a dashboard over it."""
    async with listing(members) as pilot:
        listed = pilot.app.screen
        await pilot.press("enter")
        await idle(pilot)
        assert pilot.app.screen is pilot.app.dashboard
        yield pilot, listed, pilot.app.dashboard


async def test_only_dialogs_let_through_what_is_under_them():
    async with listing(2) as pilot:
        app, below = pilot.app, pilot.app.screen
        assert is_seen(below)
        await app.push_screen(ModalScreen())
        assert is_seen(below)
        await app.push_screen(Screen())
        assert not is_seen(below)
        assert is_seen(app.screen)
        app.pop_screen()
        app.pop_screen()
        assert is_seen(below)


async def test_the_list_is_not_painted_under_a_dashboard(monkeypatch):
    async with opened(2) as (pilot, listed, _):
        assert isinstance(listed, FleetScreen)
        panels = [panel for panel in listed._panels if panel.display]
        seen = []
        for panel in panels:
            monkeypatch.setattr(panel, "show", seen.append)
        listed.tick()
        assert panels
        assert not seen
        await pilot.press("o")
        await idle(pilot)
        assert pilot.app.screen is listed
        assert seen


async def test_a_dashboard_is_not_painted_under_the_graph_and_is_of_now_when_it_is_back(monkeypatch):
    async with opened() as (pilot, _, dashboard):
        await pilot.press("g")
        await idle(pilot)
        assert pilot.app.screen is not dashboard
        painted = Painted(monkeypatch, Header)
        dashboard.tick()
        assert painted.times == 0
        await pilot.press("escape")
        await idle(pilot)
        assert pilot.app.screen is dashboard
        assert painted.times > 0


async def test_between_two_pictures_only_what_streamed_is_painted(monkeypatch):
    def beat():
        dashboard._beats = 0
        dashboard._beat()

    async with opened() as (_, _, dashboard):
        beat()
        painted = Painted(monkeypatch, Header)
        beat()
        assert painted.times == 0
        dashboard.session.transcript.write("out", "a line\n")
        beat()
        assert painted.times == 1


async def test_output_in_which_nothing_is_new_is_not_painted_again() -> None:
    session = RecordedSession()
    async with MlxtopApp(session).run_test(size=(120, 40)) as pilot:
        await painted(pilot)
        output, frame = pilot.app.screen.query_one(Output), pilot.app.dashboard.frame()
        output.paint = lambda *_: pytest.fail("painted again")
        assert output.update_frame(frame) == []


async def test_the_list_of_a_fleet_of_one_is_made_when_it_is_asked_for():
    app = MlxtopApp(fleet=RecordedFleet(1))
    async with app.run_test(size=SIZE) as pilot:
        await idle(pilot)
        assert [type(screen) for screen in app.screen_stack[1:]] == [Dashboard]
        await pilot.press("o")
        await idle(pilot)
        listed = app.screen
        assert [type(screen) for screen in app.screen_stack[1:]] == [FleetScreen]
        await pilot.press("enter")
        await idle(pilot)
        assert app.screen is app.dashboard
        await pilot.press("o")
        await idle(pilot)
        assert app.screen is listed


async def test_a_second_member_brings_the_list():
    fleet = RecordedFleet(1)
    app = MlxtopApp(fleet=fleet)
    async with app.run_test(size=SIZE) as pilot:
        await idle(pilot)
        fleet.list += RecordedFleet(2).list[1:]
        await until(pilot, lambda: isinstance(app.screen, FleetScreen))
        assert [type(screen) for screen in app.screen_stack[1:]] == [FleetScreen]
