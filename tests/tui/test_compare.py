"""What the cache limits of a run cost, side by side: on the dashboard and in full."""

import random
import re

import pytest

from mlxtop.analysis.effect import Effect
from mlxtop.core.commands import SetLimit
from mlxtop.core.events import GenerationFinished, LimitChanged
from mlxtop.core.limits import MIB
from mlxtop.tui.app import MlxtopApp
from mlxtop.tui.panels.limit_comparison import LimitComparison, describe_change, fitting
from mlxtop.tui.panels.status import Status
from mlxtop.tui.screens.compare import Compare
from tests.tui.painted import idle, painted, until
from tests.tui.recorded import RecordedSession
from tests.tui.test_pictures import LARGE, MEDIUM, SMALL

LENGTHS = (64, 192, 320, 448, 576)


def use_limit(session: RecordedSession, limit: int, speed: float, walks: int = 1) -> None:
    """Has the session walk through `LENGTHS` under a cache limit, with some noise."""
    rng = random.Random(limit)
    session.record_event(LimitChanged("cache", session.state.limits["cache"].value, limit, "keyboard"))
    session.pass_time(1.5, cache=0)
    for length in LENGTHS * walks:
        held = min(limit, length * 2**16)
        session.pass_time(2.0, cache=held, total=12 * MIB + length * 2**15 + held, active=12 * MIB)
        session.record_event(GenerationFinished(96, length, 1.0, speed * (1 - length / 4000) * rng.uniform(0.97, 1.03), 280.0, "length"))  # fmt: skip


@pytest.fixture
def tried(session: RecordedSession) -> RecordedSession:
    """A session in which three limits were tried, the last for a moment only."""
    session.state.limits["cache"] = session.state.limits["cache"].replace(value=32 * MIB)
    use_limit(session, 32 * MIB, 180.0, walks=2)
    use_limit(session, 20 * MIB, 178.0, walks=2)
    use_limit(session, 2 * MIB, 130.0)
    session.record_event(LimitChanged("cache", 2 * MIB, 0, "keyboard"))
    session.pass_time(2.0, cache=0)
    return session


@pytest.mark.parametrize("size", [MEDIUM, LARGE], ids=lambda s: f"{s[0]}x{s[1]}")
def test_beside_the_output(snap_compare, tried, size):
    assert snap_compare(MlxtopApp(tried), terminal_size=size, run_before=painted)


async def test_the_status_row_tells_of_like_work_where_there_is_room(session):
    app = MlxtopApp(session)
    async with app.run_test(size=LARGE) as pilot:
        await painted(pilot)
        # With one limit there is nothing to compare, and the output has the room.
        assert not app.screen.query_one(LimitComparison).display
        use_limit(session, 32 * MIB, 180.0, walks=3)
        use_limit(session, 2 * MIB, 130.0, walks=3)

        def says(pattern: str) -> re.Match[str] | None:
            return re.search(pattern, app.screen.query_one(Status).render_line(0).text)

        # The limits are compared now and then, not in every frame.
        await until(pilot, lambda: says(r"after \S+ · same work, [\d.]+ MiB as base: (cannot tell|-\d)"))
        assert app.screen.query_one(LimitComparison).display
        await pilot.resize_terminal(*SMALL)
        await painted(pilot)
        assert "same work" not in app.screen.query_one(Status).render_line(0).text


@pytest.mark.parametrize("size", [SMALL, MEDIUM, LARGE, (40, 12)], ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.slow
def test_in_full(snap_compare, tried, size, theme):
    async def act(pilot):
        if theme == "light":
            await pilot.press("t")
        await painted(pilot)
        await pilot.press("v")
        await idle(pilot)

    assert snap_compare(MlxtopApp(tried), terminal_size=size, run_before=act)


def test_of_a_program_under_watch(snap_compare, session):
    session.steps_are = "evals"
    session.capabilities = frozenset((SetLimit,))

    async def act(pilot):
        await painted(pilot)
        await pilot.press("v")
        await idle(pilot)

    assert snap_compare(MlxtopApp(session), terminal_size=SMALL, run_before=act)


async def test_it_fills_while_it_is_open(session):
    app = MlxtopApp(session)
    async with app.run_test(size=SMALL) as pilot:
        await painted(pilot)
        await pilot.press("v")
        await pilot.pause()
        before = len(app.dashboard.frame().uses)
        use_limit(session, 7 * MIB, 100.0)
        app.dashboard.tick()
        app.screen.draw()
        assert len(app.dashboard.frame().uses) == before + 1
        shown = "\n".join(strip.text for strip in app.screen.query_one("LimitComparison")._strips)
        assert "7.0 MiB" in shown
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, Compare)


@pytest.mark.parametrize(
    ("effect", "text"),
    [
        (Effect("few", 0), "not enough: 0 of 3"),
        (Effect("few", 3), "not enough yet"),
        (Effect("unlike"), "nothing alike"),
        (Effect("same", 9, 0.01, -0.21, 0.252), "cannot tell ±23.1 %"),
        (Effect("differs", 9, -0.279, -0.299, -0.259), "-27.9 % (25.9–29.9)"),
        (Effect("differs", 9, 1.5, 1.2, 1.8), "+150 % (120–180)"),
        (Effect("same", 9, 1.5, -0.9, 1e9), "cannot tell ±999 %"),
    ],
)
def test_a_difference_in_words_fits_its_column(effect, text):
    assert describe_change(effect) == text
    assert len(text) < 20


@pytest.mark.parametrize("width", [40, 68, 80, 110])
def test_there_is_room_for_the_columns_chosen(width):
    assert sum(column.width for column in fitting(width)) <= width
