"""The dashboard over a recording: keys that move through time, and none that would change a program."""

import pytest

from mlxtop.sessions.replay import ReplayFleet
from mlxtop.tui.app import MlxtopApp
from mlxtop.tui.charts.sparkline import BufferChart
from mlxtop.tui.screens.replay import Replay
from tests.tui.painted import idle, until
from tests.tui.recording import record


@pytest.fixture
def fleet(tmp_path):
    return ReplayFleet(record(tmp_path / "run.mlxtop"))


async def opened(pilot):
    await until(pilot, lambda: isinstance(pilot.app.screen, Replay))
    await idle(pilot)


async def test_the_only_session_is_shown_in_full(fleet):
    async with MlxtopApp(fleet=fleet).run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        assert pilot.app.dashboard.session is fleet.members()[0]


async def test_the_list_is_never_seen_before_the_only_session(fleet):
    app = MlxtopApp(fleet=fleet)
    seen = []

    def first():
        seen.append(type(app.screen))

    app._opened = first
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: seen)
    assert seen == [Replay]


async def test_nothing_is_opened_any_more_while_the_app_ends(fleet):
    app = MlxtopApp(fleet=fleet)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
    app._open_alone()
    assert app.screen_stack == []


async def test_arrows_seek_and_home_and_end_go_to_the_ends(fleet):
    async with MlxtopApp(fleet=fleet).run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        end = fleet.playhead.end
        await pilot.press("left")
        assert fleet.playhead.now() == pytest.approx(end - (120 - 23) // 4 * 0.5)
        await pilot.press("home")
        assert fleet.playhead.now() == 0.0
        await pilot.press("right")
        assert fleet.playhead.now() == pytest.approx((120 - 23) // 4 * 0.5)
        await pilot.press("end")
        assert fleet.playhead.now() == end


async def test_space_plays_and_the_keys_beside_m_change_the_speed(fleet):
    async with MlxtopApp(fleet=fleet).run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("home", "space")
        assert fleet.playhead.playing
        await pilot.press("full_stop", "full_stop")
        assert fleet.playhead.speed == 5.0
        await pilot.press("comma", "space")
        assert fleet.playhead.speed == 2.0
        assert not fleet.playhead.playing


async def test_a_mark_measures_between_two_moments(fleet):
    async with MlxtopApp(fleet=fleet).run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("left", "m")
        marked = fleet.playhead.now()
        await pilot.press("end")
        frame = pilot.app.dashboard.frame()
        assert frame.mark.name == "mark 1"
        assert frame.mark.snapshot.time == pytest.approx(marked)
        assert frame.sample.time > marked


async def test_buffers_that_were_counted_have_their_chart(tmp_path):
    fleet = ReplayFleet(record(tmp_path / "run.mlxtop", buffers=12_345))
    async with MlxtopApp(fleet=fleet).run_test(size=(120, 46)) as pilot:
        await opened(pilot)
        chart = pilot.app.screen.query_one(BufferChart)
        await until(pilot, lambda: chart.display and chart._strips)
        assert "≥ 12.3k" in "".join(segment.text for segment in chart._strips[0])
        # Before the first sample nothing is known.
        await pilot.press("home")
        await until(pilot, lambda: "—" in "".join(segment.text for segment in chart._strips[0]))


async def test_no_key_changes_a_program_that_is_over(fleet):
    async with MlxtopApp(fleet=fleet).run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        keys = {key for key, active in pilot.app.screen.active_bindings.items() if active.enabled}
        assert not keys & {
            "left_square_bracket",
            "right_square_bracket",
            "d",
            "l",
            "c",
            "r",
            "G",
            "w",
            "i",
            "s",
            "n",
        }
        assert {"space", "left", "m", "u", "minus"} <= keys


def test_picture(snap_compare, fleet):
    async def act(pilot):
        await opened(pilot)
        await pilot.press("left")
        await idle(pilot)

    assert snap_compare(MlxtopApp(fleet=fleet), terminal_size=(120, 40), run_before=act)
