"""The sweep's screen: pictures at each size, and what its keys do."""

import asyncio
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from rich.console import Console
from textual.pilot import Pilot
from textual.widgets import Static

from mlxtop.core.errors import MlxtopError
from mlxtop.sweep.measurement import Measurement
from mlxtop.sweep.plan import Cell, Plan, parse_parameter
from mlxtop.sweep.results import summarize
from mlxtop.sweep.runner import Progress, Stage, Sweep
from mlxtop.sweep.target import ModelTarget
from mlxtop.tui.app import MlxtopApp
from mlxtop.tui.screens import sweep as module
from mlxtop.tui.screens.sweep import SweepScreen
from tests.sweep.made import FACTS, Bench, measurements, plan
from tests.tui.painted import idle

SIZES = [(80, 24), (120, 40), (200, 50)]
LIMITS = "cache-limit=0,2M,20M,100M,256M,1G,default"
STEP = [70.0, 88.0, 99.9, 100.2, 100.0, 100.1, 99.8]


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that stands."""
    monkeypatch.setattr(module, "format_clock", lambda _seconds: "0:01:23")


def made(of: Plan, speeds: list[float], stage: Stage, rounds: int = 6, noise: float = 0.004) -> Sweep:
    """A sweep as it stands after so many rounds."""
    bench = Bench(of, speeds)
    bench.facts = FACTS
    sweep = Sweep(of, bench)
    sweep.measurements = measurements(of, speeds, rounds, noise)
    sweep.summary = summarize(of, sweep.measurements, FACTS)
    total = of.rounds * len(of.cells)
    cell = Cell(2, 1) if stage == "measure" else None
    sweep.progress = Progress(stage, cell, len(sweep.measurements), total, 81.0)
    return sweep


def application(sweep: Sweep) -> MlxtopApp:
    return MlxtopApp(first=SweepScreen(sweep))


@pytest.fixture
def seven() -> Plan:
    return plan(parameters=(parse_parameter(LIMITS),))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_picture(snap_compare: Any, seven: Plan, size: tuple[int, int]) -> None:
    assert snap_compare(application(made(seven, STEP, "measure")), terminal_size=size)


def test_light_and_done(snap_compare: Any, seven: Plan) -> None:
    async def light(pilot: Pilot[None]) -> None:
        await pilot.press("t")
        await idle(pilot)

    app = application(made(seven, STEP, "done"))
    assert snap_compare(app, terminal_size=(120, 40), run_before=light)


def test_cannot_tell_on_a_busy_machine(snap_compare: Any, seven: Plan) -> None:
    sweep = made(seven, [100.0] * 7, "done", rounds=10, noise=0.08)
    sweep.measurements = measurements(seven, [100.0] * 7, 10, 0.08, busy=0.55)
    sweep.summary = summarize(seven, sweep.measurements, FACTS)
    assert snap_compare(application(sweep), terminal_size=(120, 40))


def test_the_other_length_where_there_is_no_room_for_both(snap_compare: Any, seven: Plan) -> None:
    assert snap_compare(application(made(seven, STEP, "measure")), terminal_size=(80, 24), press=["tab"])


def test_before_the_first_reading(snap_compare: Any, seven: Plan) -> None:
    assert snap_compare(application(made(seven, STEP, "warm-up", rounds=0)), terminal_size=(120, 40))


def test_a_grid_with_one_that_failed(snap_compare: Any) -> None:
    grid = plan(
        parameters=(parse_parameter("cache-limit=0,default"), parse_parameter("kv-bits=4,default")),
        target=ModelTarget((2048,), 64),
    )
    sweep = made(grid, [80.0, 90.0, 99.0, 100.0], "done")
    sweep.measurements = [r for r in sweep.measurements if r.arm != 2]
    sweep.measurements.append(
        Measurement(0, 2, 0, 0.0, 1.0, {}, None, "The generation failed: [red]no[/red] memory.")
    )
    sweep.summary = summarize(grid, sweep.measurements, FACTS)
    assert snap_compare(application(sweep), terminal_size=(120, 40))


def test_a_failure_is_the_sentence(snap_compare: Any, seven: Plan) -> None:
    sweep = made(seven, STEP, "failed", rounds=0)
    sweep.failure = MlxtopError("Could not load ./x: no such directory.")
    assert snap_compare(application(sweep), terminal_size=(80, 24))


def test_a_strip_of_a_terminal_is_no_crash(snap_compare: Any, seven: Plan) -> None:
    assert snap_compare(application(made(seven, STEP, "measure")), terminal_size=(40, 12))


async def test_too_few_repeats_are_told_on_the_screen() -> None:
    few = plan(parameters=(parse_parameter(LIMITS),), rounds=3)
    async with application(made(few, STEP, "warm-up", rounds=0)).run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "--repeats 3 is too few" in str(pilot.app.screen.query_one("#advice", Static).content)


async def test_the_help_explains_the_sweep_s_own_signs(seven: Plan) -> None:
    async with application(made(seven, STEP, "measure")).run_test(size=(120, 40)) as pilot:
        await pilot.press("question_mark")
        await pilot.pause()
        console = Console(width=200)
        with console.capture() as told:
            console.print(pilot.app.screen.query_one(Static).content)
    shown = told.get()
    for sign in ("★", "•", "✕", "(a–b)", "undisturbed"):
        assert sign in shown
    for sign in ("◆", "▼", "budget"):
        assert sign not in shown


async def until(what: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def test_it_is_drawn_between_cells_and_the_sweep_waits_for_that(
    seven: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of things: a cell is not begun before the one before it is on the screen."""
    monkeypatch.setattr(module, "DRAWN_WITHIN", 60.0)
    log: list[str] = []
    bench = Bench(seven, STEP)
    measure = bench.measure

    def measured(*cell: Any) -> Any:
        log.append("cell")
        return measure(*cell)

    bench.measure = measured  # type: ignore[method-assign]
    sweep = Sweep(seven, bench)
    screen = SweepScreen(sweep)
    draw = screen.draw

    def drawn() -> None:
        draw()
        log.append("drawn")

    screen.draw = drawn  # type: ignore[method-assign]
    sweep.changed = screen.changed
    app = MlxtopApp(first=screen)
    async with app.run_test(size=(120, 40)) as pilot:
        log.clear()
        thread = threading.Thread(target=sweep.run)
        thread.start()
        await until(lambda: sweep.progress.stage == "done", 100)
        await pilot.pause()
        thread.join()
    cells = [i for i, what in enumerate(log) if what == "cell"]
    assert len(cells) > 70
    assert all("drawn" in log[a:b] for a, b in pairwise(cells))


@pytest.mark.timeout(60)
async def test_a_screen_that_is_gone_holds_nothing_up(seven: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAWN_WITHIN", 600.0)
    sweep = Sweep(seven, Bench(seven, STEP))
    screen = SweepScreen(sweep)
    sweep.changed = screen.changed
    async with MlxtopApp(first=screen).run_test(size=(80, 24)) as pilot:
        await pilot.press("q")
    sweep.run()
    assert sweep.progress.stage == "done"
