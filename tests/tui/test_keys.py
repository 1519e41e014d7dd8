"""What a key does: the command that the session gets, or the change of the view."""

import pytest
from rich.console import Console
from textual.events import MouseScrollDown, MouseScrollUp
from textual.widgets import Input, Static

from mlxtop.core.budget import Budget
from mlxtop.core.census import Census
from mlxtop.core.commands import (
    AddMark,
    ClearCache,
    ForgetConversation,
    ResetPeak,
    SetLimit,
    StartWorkload,
    StopWorkload,
    SubmitPrompt,
)
from mlxtop.core.events import CensusTaken, GarbageCollected, LimitChanged, PhaseChanged
from mlxtop.core.facts import Facts
from mlxtop.core.history import History
from mlxtop.core.limits import MIB
from mlxtop.core.units import UNLIMITED
from mlxtop.tui.app import MlxtopApp
from mlxtop.tui.panels.breakdown import Breakdown
from mlxtop.tui.panels.header import Header
from mlxtop.tui.panels.status import Status
from mlxtop.tui.screens.census import CensusScreen
from mlxtop.tui.screens.compare import Compare
from mlxtop.tui.screens.fleet import FleetScreen
from mlxtop.tui.screens.graph import Graph
from mlxtop.tui.screens.replay import Replay
from mlxtop.tui.screens.sweep import SweepScreen

SIZE = (120, 40)


@pytest.mark.parametrize(
    ("keys", "command"),
    [
        (["left_square_bracket"], SetLimit("cache", 2 * MIB, "keyboard")),
        (["right_square_bracket"], SetLimit("cache", 32 * MIB, "keyboard")),
        (["d"], SetLimit("cache", "default", "keyboard")),
        (["c"], ClearCache("keyboard")),
        (["r"], ResetPeak("keyboard")),
        (["m"], AddMark("mark 1", "keyboard")),
        (["s"], StopWorkload()),
        (["n"], ForgetConversation()),
        (["i", "h", "i", "enter"], SubmitPrompt("hi")),
        (["l", *"7M", "enter"], SetLimit("cache", 7 * MIB, "keyboard")),
        (["l", "tab", *"1G", "enter"], SetLimit("memory", 1024 * MIB, "keyboard")),
        (["l", "tab", "tab", *"0", "enter"], SetLimit("wired", 0, "keyboard")),
        (["M", "tab", *"warm", "enter"], AddMark("warm", "keyboard")),
    ],
    ids=lambda v: "-".join(v)[:20] if isinstance(v, list) else "",
)
async def test_a_key_becomes_a_command(app, session, keys, command):
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press(*keys)
        await pilot.pause()
        assert session.asked == [command]


async def test_the_ladder_goes_on_from_what_is_pending(app, session):
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("left_square_bracket", "left_square_bracket", "left_square_bracket")
        assert [command.size for command in session.asked] == [2 * MIB, 0, 0]
        await pilot.press(*["right_square_bracket"] * 5)
        assert session.asked[-1].size == UNLIMITED


async def test_typing_a_prompt_presses_no_key(app, session):
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("i", *"mcrd[]qtups", "escape")
        assert session.asked == []
        assert app.is_running
        assert app.screen.query_one("#prompt", Input).value == "mcrd[]qtups"
        assert app.focused is None


async def test_a_size_that_is_none_is_refused_in_the_dialog(app, session):
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("l", *"many", "enter")
        await pilot.pause()
        assert "'many' is not a size" in str(app.screen.query_one("#question").render())
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is app.dashboard
        assert session.asked == []


async def test_a_budget_is_typed_and_taken_away(app, session):
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("b", *"1G", "enter")
        await pilot.pause()
        assert session.state.budget == Budget(1024 * MIB, "keyboard")
        await pilot.press("b", *"none", "enter")
        await pilot.pause()
        assert session.state.budget is None


async def test_a_budget_that_is_none_is_refused_in_the_dialog(app, session):
    async with app.run_test(size=SIZE) as pilot:
        for text, why in (
            ("16GB Mac", "Apple publishes no rule"),
            ("cgroup", "in no container"),
            ("x", "is no budget"),
        ):
            await pilot.press("b", *text.replace(" ", ""), "enter")
            await pilot.pause()
            assert why in str(app.screen.query_one("#question").render())
            await pilot.press("escape")
            await pilot.pause()
        assert session.state.budget is None


async def test_before_the_device_is_known_there_is_no_budget(app, session):
    session.state.facts = Facts()
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("b")
        await pilot.pause()
        assert app.screen is app.dashboard


async def test_start_when_idle(app, session):
    session.state.phase = "idle"
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("s")
        assert session.asked == [StartWorkload()]


async def test_an_earlier_mark_is_chosen_and_a_new_one_takes_over(app):
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("M", "up", "enter")
        await pilot.pause()
        assert app.dashboard.frame().mark.name == "start"
        await pilot.press("m")
        assert app.dashboard.frame().mark.name == "mark 1"


async def test_zoom_pan_and_back(app):
    async with app.run_test(size=SIZE) as pilot:
        dashboard = app.dashboard
        await pilot.press("minus")
        assert dashboard.view.axis.width == 1.0
        await pilot.press("plus", "plus")
        assert dashboard.view.axis.width == 0.2
        await pilot.press(*["plus"] * 5)
        assert dashboard.view.axis.width == 0.1, "never narrower than the sampling interval"
        await pilot.press("left")
        assert dashboard.view.axis.end < dashboard.session.now()
        await pilot.press("end")
        assert dashboard.view.axis.end is None


async def test_pause_holds_the_picture_while_samples_go_on(app, session):
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("space")
        before = app.dashboard.frame().sample
        session.pass_time(3, active=1)
        assert app.dashboard.frame().sample == before
        await pilot.press("space")
        assert app.dashboard.frame().sample.active == 1


async def test_the_wheel_zooms_over_a_chart(app):
    async with app.run_test(size=SIZE) as pilot:
        chart = app.dashboard.query_one("#active")
        for kind, width in ((MouseScrollDown, 1.0), (MouseScrollUp, 0.5)):
            chart.post_message(kind(chart, 30, 1, 0, 1, 0, False, False, False))
            await pilot.pause()
            assert app.dashboard.view.axis.width == width


async def test_every_key_is_in_the_help_and_in_the_palette(app):
    async with app.run_test(size=SIZE) as pilot:
        commands = [command.title for command in app.get_system_commands(app.screen)]
        for _, binding in app.all_keys():
            assert binding.tooltip, binding
            assert binding.description.capitalize() in commands
        await pilot.press("question_mark")
        await pilot.pause()
        console = Console(width=200)
        with console.capture() as told:
            console.print(app.screen.query_one(Static).content)
        shown = told.get()
        for _, binding in app.all_keys():
            assert binding.tooltip in shown


@pytest.mark.parametrize("screen", [CensusScreen, Compare, FleetScreen, Graph, SweepScreen, Replay])
def test_every_key_of_every_screen_has_a_sentence(screen):
    assert [binding for binding in screen.BINDINGS if not binding.tooltip] == []


async def test_quit(app):
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("q")
    assert app.return_code == 0


async def test_the_first_sample_ends_the_word_that_there_is_none(app, session):
    history, session.history = session.history, History(0.1)
    async with app.run_test():
        app.dashboard.tick()
        assert "there are no samples yet" in app.dashboard.frame().diagnosis.line()
        session.history = history
        app.dashboard.tick()
        assert "there are no samples yet" not in app.dashboard.frame().diagnosis.line()


def status(app: MlxtopApp) -> str:
    return app.screen.query_one(Status).render_line(0).text


async def test_a_census_says_that_it_counts_until_it_comes_or_is_left(app, session):
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("w")
        await pilot.pause()
        assert "counting arrays" in status(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "counting" not in status(app)
        session.record_event(CensusTaken(Census(active=1)))
        await pilot.pause()
        assert not isinstance(app.screen, CensusScreen), "it was left"
        await pilot.press("w")
        session.record_event(CensusTaken(Census(active=2)))
        await pilot.pause()
        assert isinstance(app.screen, CensusScreen)
        assert "counting" not in app.dashboard.query_one(Status).render_line(0).text


async def test_thousands_of_answers_are_shown_by_one_picture(app, session, monkeypatch):
    async with app.run_test(size=SIZE) as pilot:
        drawn = []
        monkeypatch.setattr(app.dashboard, "tick", lambda: drawn.append(1))
        for n in range(3_000):
            session.record_event(LimitChanged("cache", n, n + 1, "keyboard", asked=n + 1))
        await pilot.pause()
        assert 1 <= len(drawn) <= 3
        assert session.state.limits["cache"].value == 3_000


async def test_what_a_collection_freed_is_told(app, session):
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("G")
        session.record_event(GarbageCollected("keyboard", 1234, 2 * MIB))
        app.dashboard.tick()
        assert "gc.collect() by keyboard: 1,234 objects, 2.0 MiB freed" in status(app)


async def test_without_colour_the_parts_differ_by_their_shade_and_idle_is_as_bright_as_text(
    session, monkeypatch
):
    monkeypatch.setenv("NO_COLOR", "1")
    app = MlxtopApp(session)
    session.record_event(PhaseChanged("idle"))
    async with app.run_test(size=SIZE):
        app.dashboard.tick()
        where, header = app.screen.query_one(Breakdown), app.screen.query_one(Header)
        marks = [where.render_line(y).text[1] for y in range(1, 6)]
        assert len(set(marks)) == 5
        bar = where.render_line(0).text.removeprefix(" where it goes ").split("  ")[0].strip()
        assert set(bar) <= set(marks)
        assert bar
        (word,) = [piece for piece in header.render_line(0) if "● idle" in piece.text]
        assert word.style.color == header.style("text").color
