"""The highest steps on the screen: pictures at each size, and what its keys do."""

import pytest
from textual.widgets import Static

from mlxtop.core.events import StepPeaked
from mlxtop.tui.screens.peaks import PeaksScreen
from tests.tui.painted import idle, painted
from tests.tui.recorded import RecordedSession

MiB = 2**20
SIZES = [(80, 24), (120, 40), (200, 50)]
OWN = [
    StepPeaked(8 * MiB, 0, 3, "load"),
    *(StepPeaked((20 + n) * MiB, (18 + n) * MiB, 40 + n, "prefill", tokens=256 * n) for n in range(4)),
    StepPeaked(19 * MiB, 18 * MiB, 60, "decode", tokens=1_300),
]
WATCHED = [
    StepPeaked(60 * 2**30, 42 * 2**30, 1_204_117, "train", "my-project/train.py:88"),
    StepPeaked(44 * 2**30, 42 * 2**30, 12, "train", "a-very-long-name-of-a-package/and_of_a_module.py:1088", how="async"),
    StepPeaked(43 * 2**30, 42 * 2**30, 13, "evaluate the model", "serve/main.py:7", how="threads"),
    StepPeaked(42 * 2**30 + MiB, 42 * 2**30, 0, "run", how="between"),
]  # fmt: skip


def happen(session: RecordedSession, steps: list[StepPeaked]) -> None:
    for n, step in enumerate(steps):
        session.record_event(step, time=4.0 + n)


async def open_peaks(pilot):
    await painted(pilot)
    await pilot.press("P")
    await idle(pilot)


def shown(screen: PeaksScreen, name: str) -> str:
    return str(screen.query_one(name, Static).content)


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("steps", [OWN, WATCHED], ids=["own", "watched"])
def test_picture(snap_compare, app, session, size, steps):
    happen(session, steps)
    assert snap_compare(app, terminal_size=size, run_before=open_peaks)


def test_light(snap_compare, app, session):
    happen(session, WATCHED)

    async def act(pilot):
        await open_peaks(pilot)
        await pilot.press("t")
        await idle(pilot)

    assert snap_compare(app, terminal_size=(80, 24), run_before=act)


async def test_the_highest_is_first_and_a_new_one_is_shown(app, session):
    happen(session, OWN)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_peaks(pilot)
        peaks = [line.split()[0] for line in shown(app.screen, "#steps").splitlines()[1:]]
        assert peaks == ["23.0", "22.0", "21.0", "20.0", "19.0", "8.0"]
        session.record_event(StepPeaked(99 * MiB, 0, 70, "decode"), time=20.0)
        app.screen.draw()
        assert shown(app.screen, "#steps").splitlines()[1].split()[0] == "99.0"


async def test_without_a_step_it_says_so(app):
    async with app.run_test(size=(80, 24)) as pilot:
        await open_peaks(pilot)
        assert "no step has raised the memory yet" in shown(app.screen, "#steps")
        assert shown(app.screen, "#notes") == ""


async def test_what_is_not_exact_is_explained_where_it_is_listed(app, session):
    happen(session, WATCHED)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_peaks(pilot)
        rows, notes = shown(app.screen, "#steps"), shown(app.screen, "#notes")
        for word in ("async", "several threads", "between two steps"):
            assert word in rows
            assert f"{word}: " in notes


@pytest.mark.parametrize("key", ["escape", "P"])
async def test_a_key_closes_it(app, session, key):
    async with app.run_test(size=(80, 24)) as pilot:
        await open_peaks(pilot)
        await pilot.press(key)
        await pilot.pause()
        assert not isinstance(app.screen, PeaksScreen)


async def test_hostile_names_are_text(app, session):
    name = "[bold]x[/]\x1b[2J\n\u202e漢字" * 20
    session.record_event(StepPeaked(9, -5, 2**61, name, name, how="async"), time=1.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_peaks(pilot)
        rows = shown(app.screen, "#steps")
        assert len(rows.splitlines()) == 2
        assert "\x1b" not in rows
