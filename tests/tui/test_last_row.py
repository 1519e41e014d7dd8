"""The row of keys says what the keys do now, and the phase band keeps its names whole."""

import pytest

from mlxtop.core.commands import ClearCache, SetLimit
from mlxtop.core.events import PhaseChanged
from mlxtop.tui.app import MlxtopApp
from mlxtop.tui.charts.axis import _room
from mlxtop.tui.panel import Panel
from mlxtop.tui.panels.keys import Keys
from tests.tui.painted import idle


def row(app: MlxtopApp) -> str:
    return app.dashboard.query_one(Keys).render_line(0).text


async def shown(app: MlxtopApp, pilot) -> str:
    app.dashboard.tick()
    await pilot.pause()
    return row(app)


@pytest.mark.parametrize(("phase", "word"), [("decode", "stop"), ("idle", "start"), ("failed", "retry")])
async def test_s_says_what_it_does(app, session, phase, word):
    session.record_event(PhaseChanged(phase))
    async with app.run_test(size=(80, 24)) as pilot:
        assert f"s {word} " in await shown(app, pilot)


async def test_a_line_of_text_has_keys_of_its_own(app):
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("i")
        await pilot.pause()
        assert row(app).split() == ["enter", "send", "esc", "leave", "ctrl+c", "quit"]
        await pilot.press("escape")
        await pilot.pause()
        assert "? help" in row(app)


@pytest.mark.parametrize("width", [24, 40, 60, 80, 120, 200])
async def test_help_and_quit_are_always_in_sight(app, width):
    async with app.run_test(size=(width, 24)) as pilot:
        text = await shown(app, pilot)
        assert text.rstrip().endswith("q quit")
        assert "? help" in text
        assert len(text) == width


async def test_more_room_shows_more_keys(app):
    found = []
    for width in (40, 80, 120, 160):
        async with MlxtopApp(app._session).run_test(size=(width, 40)) as pilot:
            found.append(len((await shown(pilot.app, pilot)).split()))
    assert found == sorted(set(found))


async def test_a_click_presses_the_key(app, session):
    async with app.run_test(size=(120, 40)) as pilot:
        at = (await shown(app, pilot)).index("c clear")
        await pilot.click(Keys, offset=(at, 0))
        await pilot.click(Keys, offset=(at + 6, 0))
        await pilot.pause()
        assert session.asked == [ClearCache("keyboard")] * 2
        at = row(app).index("] +")
        await pilot.click(Keys, offset=(at, 0))
        await pilot.pause()
        assert isinstance(session.asked[-1], SetLimit)


async def test_a_recording_has_keys_for_what_it_can(app, session):
    session.capabilities = frozenset()
    async with app.run_test(size=(120, 40)) as pilot:
        text = await shown(app, pilot)
        assert "limit−" not in text
        assert "clear" not in text
        assert "graph" in text


def test_a_name_stands_where_no_tick_covers_it():
    assert _room(4, 10, 16, set()) == 11
    assert _room(4, 10, 15, set()) is None
    assert _room(4, 10, 20, {10}) == 11
    assert _room(4, 10, 20, {12}) == 13
    assert _room(4, 10, 17, {12}) is None


@pytest.mark.parametrize("colours", [True, False], ids=["colours", "no-colour"])
@pytest.mark.slow
async def test_a_strip_of_a_terminal_and_back(session, monkeypatch, colours):
    """For a moment after a resize a chart has columns for another width."""
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    app = MlxtopApp(session)
    async with app.run_test(size=(120, 40)) as pilot:
        for size in ((40, 12), (200, 50), (23, 5), (120, 40)):
            await pilot.resize_terminal(*size)
            await idle(pilot)
            app.dashboard.tick()
            await idle(pilot)
        assert "? help" in row(app)
        segments = [s for panel in app.dashboard.query(Panel) for strip in panel._strips for s in strip]
        assert all(segment.style is not None for segment in segments)
