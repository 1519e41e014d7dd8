"""What the screen looks like, state by state, against pictures that were looked at.

After a change that is meant: `pytest tests/tui --snapshot-update`, then open the pictures.
"""

import pytest
from textual.widgets import Input

from mlxtop.core.budget import LEVELS, Budget, BudgetUsage
from mlxtop.core.commands import (
    AddMark,
    ClearCache,
    Collect,
    RecordEvent,
    ResetPeak,
    SetLimit,
    SubmitPrompt,
    TakeCensus,
)
from mlxtop.core.events import BudgetChanged, ErrorRaised, FactsRead, LimitChanged, PhaseChanged, SystemRead
from mlxtop.core.machine import System
from mlxtop.tui.app import MlxtopApp
from mlxtop.tui.screens.dialogs import Choice
from tests.tui.painted import idle, painted
from tests.tui.recorded import RecordedSession

SMALL, MEDIUM, LARGE = (80, 24), (120, 40), (200, 50)


@pytest.mark.parametrize("size", [SMALL, MEDIUM, LARGE, (40, 12)], ids=lambda s: f"{s[0]}x{s[1]}")
def test_dashboard(snap_compare, app, size):
    assert snap_compare(app, terminal_size=size, run_before=painted)


def test_light(snap_compare, app):
    async def act(pilot):
        await pilot.press("t")
        await painted(pilot)

    assert snap_compare(app, terminal_size=MEDIUM, run_before=act)


def test_no_colour(snap_compare, session, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(MlxtopApp(session), terminal_size=SMALL, run_before=painted)


@pytest.mark.parametrize("size", [SMALL, MEDIUM], ids=lambda s: f"{s[0]}x{s[1]}")
def test_a_limit_that_waits(snap_compare, app, size):
    async def act(pilot):
        await pilot.press("left_square_bracket")
        await painted(pilot)

    assert snap_compare(app, terminal_size=size, run_before=act)


def test_a_limit_that_changed(snap_compare, app, session):
    session.record_event(LimitChanged("cache", 20 * 2**20, 2 * 2**20, "keyboard"), time=14.0)
    session.record_event(LimitChanged("memory", 2**34, 2**33, "site-packages/train.py:88"), time=20.0)
    assert snap_compare(app, terminal_size=MEDIUM, run_before=painted)


def test_since_a_mark(snap_compare, app, session):
    async def act(pilot):
        await pilot.press("m")
        session.pass_time(72, active=30 * 2**20, cache=12 * 2**20, tokens=2500)
        await painted(pilot)

    assert snap_compare(app, terminal_size=MEDIUM, run_before=act)


def test_decimal_units(snap_compare, app):
    async def act(pilot):
        await pilot.press("u")
        await painted(pilot)

    assert snap_compare(app, terminal_size=SMALL, run_before=act)


def test_paused_panned_and_zoomed_out(snap_compare, app):
    async def act(pilot):
        await pilot.press("minus", "left", "space")
        await painted(pilot)

    assert snap_compare(app, terminal_size=SMALL, run_before=act)


def test_a_failed_load(snap_compare, app, session):
    message = "Could not load ./model: FileNotFoundError: No safetensors found."
    session.record_event(ErrorRaised(message, "load"))
    session.record_event(PhaseChanged("failed"))
    assert snap_compare(app, terminal_size=MEDIUM, run_before=painted)


def test_before_mlx_is_there(snap_compare):
    session = RecordedSession(until=0.0)
    assert snap_compare(MlxtopApp(session), terminal_size=MEDIUM, run_before=painted)


def test_hostile_text_stays_in_its_pane(snap_compare, app, session):
    session.title = "[bold]m\x1b[2Jodel\x00"
    session.transcript.write(
        "reply", "\n[red]x[/] \x1b[2J\x1b]0;t\x07 \x00 漢字漢字 e\u0301 👩‍👩‍👧 \u202egnp\n"
    )
    session.submit(AddMark("[b]\x1b[31mmark", "keyboard"))
    assert snap_compare(app, terminal_size=SMALL, run_before=painted)


def test_a_watched_program(snap_compare, session):
    session.steps_are = "evals"
    session.agent_cost = 0.0014
    session.capabilities = frozenset(
        (AddMark, RecordEvent, SubmitPrompt, TakeCensus, Collect, SetLimit, ClearCache, ResetPeak)
    )
    session.title = "mlx_lm.server --model ./my-model --port 8080"
    session.record_event(LimitChanged("cache", 2**25, 2**21, "my-server/main.py:88"), time=14.0)
    assert snap_compare(MlxtopApp(session), terminal_size=LARGE, run_before=painted)


def test_how_to_leave(snap_compare, session):
    choices = [Choice("stop", "Stop the program"), Choice("keep", "Leave it running")]

    async def act(pilot):
        await painted(pilot)
        await pilot.press("q")
        await idle(pilot)

    app = MlxtopApp(session, ask=lambda: ("python train.py is running (process 4242).", choices))
    assert snap_compare(app, terminal_size=SMALL, run_before=act)


def spend(session: RecordedSession, level: int, reach: float | None) -> None:
    """Gives the session a budget of which its footprint is a little over `level` percent."""
    used = session.history.latest.footprint
    budget = Budget(used * 100 // (level + 1), "flag")
    session.record_event(BudgetChanged(budget), time=4.0)
    for n, was in zip(LEVELS, (0, *LEVELS), strict=False):
        if n <= level:
            session.record_event(BudgetChanged(budget, n, was, used), time=4.0 + n / 5)
    session.state.budget_usage = BudgetUsage(used, reach)


@pytest.mark.parametrize("size", [SMALL, MEDIUM, LARGE], ids=lambda s: f"{s[0]}x{s[1]}")
def test_a_budget_with_room(snap_compare, app, session, size):
    spend(session, 40, None)
    session.state.system = System(
        swap_used=2**30,
        swap_total=2**32,
        cgroup_limit=2**34,
        cgroup_used=2**33,
        pss=119 * 2**20,
        pss_age=12.0,
    )
    assert snap_compare(app, terminal_size=size, run_before=painted)


MAC = System(
    available=3 * 2**30, swap_used=5 * 2**28, swap_total=2**31, compressed=4 * 2**30, wired=11 * 2**30,
    gpu=0.97, thermal="nominal",
)  # fmt: skip


def on_a_mac(session: RecordedSession, pressure: str, **more: object) -> None:
    """Gives the session a Mac whose GPU's working set is 64 MiB."""
    session.record_event(FactsRead(session.state.facts.replace(backend="Metal", working_set=64 * 2**20)))
    session.record_event(SystemRead(MAC.replace(pressure=pressure, **more)))


@pytest.mark.parametrize("size", [SMALL, MEDIUM, LARGE, (40, 12)], ids=lambda s: f"{s[0]}x{s[1]}")
def test_the_machine(snap_compare, app, session, size):
    on_a_mac(session, "warning", thermal="heavy", wired_limit=96 * 2**20)
    assert snap_compare(app, terminal_size=size, run_before=painted)


@pytest.mark.parametrize("theme", ["dark", "light", "NO_COLOR"])
@pytest.mark.parametrize("pressure", ["normal", "critical"])
def test_pressure_has_three_colours(snap_compare, session, pressure, theme, monkeypatch):
    if theme == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
    session.pass_time(1, active=60 * 2**20, cache=2**20, total=61 * 2**20)
    on_a_mac(session, pressure)

    async def act(pilot):
        if theme == "light":
            await pilot.press("t")
        await painted(pilot)

    assert snap_compare(MlxtopApp(session), terminal_size=SMALL, run_before=act)


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.slow
def test_an_alarm(snap_compare, app, session, level, theme):
    spend(session, level, {80: 340.0, 95: 25.0, 100: 0.0}[level])

    async def act(pilot):
        if theme == "light":
            await pilot.press("t")
        await painted(pilot)

    assert snap_compare(app, terminal_size=MEDIUM, run_before=act)


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=lambda s: f"{s[0]}x{s[1]}")
def test_an_alarm_on_other_screens(snap_compare, app, session, size):
    session.pass_time(4, active=90 * 2**20, peak=90 * 2**20)
    spend(session, 95, 25.0)
    assert snap_compare(app, terminal_size=size, run_before=painted)


@pytest.mark.parametrize("keys", [["b"], ["g"]], ids=["dialog", "graph"])
@pytest.mark.slow
def test_a_budget_over_it(snap_compare, app, session, keys):
    spend(session, 80, 340.0)

    async def act(pilot):
        await painted(pilot)
        await pilot.press(*keys)
        await idle(pilot)
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False
        await idle(pilot)

    assert snap_compare(app, terminal_size=MEDIUM, run_before=act)


@pytest.mark.parametrize(
    "keys",
    [["question_mark"], ["l"], ["M"], ["g"], ["ctrl+p"], ["e"]],
    ids=["help", "limit", "marks", "graph", "palette", "explain"],
)
@pytest.mark.slow
def test_what_opens_over_it(snap_compare, app, keys):
    async def act(pilot):
        await painted(pilot)
        await pilot.press(*keys)
        await idle(pilot)
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False
        await idle(pilot)

    assert snap_compare(app, terminal_size=MEDIUM, run_before=act)
