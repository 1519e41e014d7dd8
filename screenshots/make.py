"""Makes every picture in this folder from a real run of the demo: `make screenshots`.

A session runs MLX for about a minute; the application is opened over it at several sizes, keys are
pressed, and Textual writes what it shows as SVG. `mlxtop run` has its pictures, of programs of its own,
`mlxtop sweep` one of a sweep while it runs, and `mlxtop diff` one of two recordings.
`python -m screenshots.make run` makes only those of `run`.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from screenshots.programs import RANKS, SERVER, TRAIN, Asking
from tests.checkpoint import write_checkpoint
from textual.pilot import Pilot

from mlxtop.diff.axis import aligned
from mlxtop.diff.comparison import compare as compared
from mlxtop.diff.read import read, sampled
from mlxtop.inference.options import Options
from mlxtop.inference.prompts import RAMP
from mlxtop.sessions.budget_monitor import BudgetMonitor
from mlxtop.sessions.local import LocalSession
from mlxtop.sessions.program import Program
from mlxtop.sessions.run_fleet import RunFleet
from mlxtop.sweep.executor import ModelExecutor
from mlxtop.sweep.plan import Plan, parse_parameter
from mlxtop.sweep.runner import Sweep
from mlxtop.sweep.target import ModelTarget
from mlxtop.tui.app import MlxtopApp
from mlxtop.tui.screens.diff import DiffScreen
from mlxtop.tui.screens.sweep import SweepScreen

FOLDER = Path(__file__).parent
Watching = Callable[[Pilot[None], RunFleet], Awaitable[None]]
Act = Callable[[Pilot[None], LocalSession], Awaitable[None]]


async def picture(
    name: str, session: LocalSession, size: tuple[int, int], act: Act | None = None, light: bool = False
) -> None:
    """Opens the dashboard over `session`, acts on it, and saves what it shows."""
    app = MlxtopApp(session)
    async with app.run_test(size=size) as pilot:
        if light:
            await pilot.press("t")
        # What mlxtop itself costs is known after two measurements, two seconds each.
        await pilot.pause(5)
        if act is not None:
            await act(pilot, session)
        app.dashboard.tick()
        await pilot.pause(0.3)
        path = app.save_screenshot(f"{name}.svg", str(FOLDER))
    print(path)


async def until(what: Callable[[], bool], seconds: float = 30.0) -> None:
    """Waits for something the session is about to do."""
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        await asyncio.sleep(0.05)


async def decoding(pilot: Pilot[None], session: LocalSession) -> None:
    await until(lambda: session.state.phase == "decode" and session.state.progress is not None)


async def limit_down(pilot: Pilot[None], session: LocalSession) -> None:
    await pilot.press("left_square_bracket", "left_square_bracket")
    await until(lambda: session.state.limits["cache"].value == 2 * 2**20)
    await asyncio.sleep(9)
    await decoding(pilot, session)


async def compare(pilot: Pilot[None], session: LocalSession) -> None:
    """One walk through the prompt lengths under each of two more limits: then there is something to tell."""
    for keys in (["right_square_bracket"], ["left_square_bracket"] * 2):
        await pilot.press(*keys)
        await walk(session)
    await pilot.press("v")
    await pilot.pause(1.5)


async def walk(session: LocalSession) -> None:
    end = session.state.generations + len(RAMP) + 1
    await until(lambda: session.state.generations >= end, 60)


async def mark(pilot: Pilot[None], session: LocalSession) -> None:
    await pilot.press("d", "m")
    await asyncio.sleep(8)
    await decoding(pilot, session)


async def program(name: str, command: list[str], size: tuple[int, int], act: Watching) -> None:
    """Runs a program under watch, acts on the screen over it, and saves what that shows."""
    fleet = RunFleet(Program(command, screen=True), lambda _: None)
    guard = BudgetMonitor(fleet.members)
    app = MlxtopApp(fleet=fleet, opened=fleet.start)
    async with app.run_test(size=size) as pilot:
        guard.start()
        await act(pilot, fleet)
        path = app.save_screenshot(f"{name}.svg", str(FOLDER))
    guard.stop()
    fleet.stop()
    await asyncio.to_thread(fleet.program.stop)
    print(path)


async def server(pilot: Pilot[None], fleet: RunFleet) -> None:
    asking = Asking()
    asking.start()
    await until(lambda: len(fleet.members()) == 1, 60)
    await asyncio.sleep(45)
    await pilot.press("left_square_bracket", "left_square_bracket")
    await asyncio.sleep(14)
    asking.stopping = True


async def ranks(pilot: Pilot[None], fleet: RunFleet) -> None:
    await until(lambda: len(fleet.members()) == 4, 60)
    await asyncio.sleep(50)


def press(*keys: str) -> Act:
    async def act(pilot: Pilot[None], _session: LocalSession) -> None:
        await pilot.press(*keys)
        await pilot.pause(1.5)

    return act


async def main(names: list[str]) -> None:
    # In this order: what ran before in this process would show in a model's peak.
    for name, make in {"models": models, "sweep": sweep, "diff": diff, "run": programs}.items():
        if not names or name in names:
            await make()


async def sweep() -> None:
    """A sweep of the demo, when some rounds are left."""
    limits = parse_parameter("cache-limit=0,2M,20M,100M,256M,1G,default")
    target = ModelTarget((128, 512), 64)
    plan = Plan(target, (limits,), tolerance=0.05)
    executor = ModelExecutor(plan, target)
    runs = Sweep(plan, executor)
    screen = SweepScreen(runs)
    runs.changed = screen.changed
    app = MlxtopApp(first=screen, opened=Thread(target=runs.run).start)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: runs.progress.done >= 90 or runs.progress.stage == "done", 300)
        await pilot.pause(0.3)
        print(app.save_screenshot("sweep.svg", str(FOLDER)))
        runs.stop()
        await until(lambda: runs.progress.stage in ("stopped", "done"))


async def diff() -> None:
    """The demo with MLX's cache limit, and with a lower one."""
    with TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("before.mlxtop", "after.mlxtop")]
        for file, more in zip(files, ((), ("--cache-limit", "4M")), strict=True):
            command = [sys.executable, "-m", "mlxtop", "--headless", "--repeat", "2", *more]
            subprocess.run([*command, "--record", str(file)], check=True, stdout=subprocess.DEVNULL)
        runs = [read(file) for file in files]
        sides = [aligned(letter, sampled(run)) for letter, run in zip("AB", runs, strict=True)]
    app = MlxtopApp(first=DiffScreen(compared(*runs), sides))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.3)
        print(app.save_screenshot("diff.svg", str(FOLDER)))


async def programs() -> None:
    with TemporaryDirectory() as folder:
        write_checkpoint(Path(folder, "my-model"), hidden=512, layers=4)
        Path(folder, "train.py").write_text(TRAIN)
        # So that no picture names where it was made.
        os.chdir(folder)
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        await program("server", SERVER, (120, 40), server)
        await program("ranks", RANKS, (120, 40), ranks)


async def models() -> None:
    failed = LocalSession(Options(model="./no-such-model"))
    failed.open()
    await until(lambda: failed.state.phase == "failed")
    await picture("failed", failed, (120, 40))
    failed.close(5)

    session = LocalSession(Options(max_tokens=96))
    guard = BudgetMonitor(lambda: (session,))
    session.open()
    guard.start()
    await asyncio.sleep(50)
    await picture("decode", session, (120, 40), decoding)
    await picture("small", session, (80, 24), decoding)
    await picture("large", session, (200, 50), decoding)
    await picture("light", session, (120, 40), decoding, light=True)
    await picture("limit", session, (120, 40), limit_down)
    await picture("compare", session, (120, 40), compare)
    await picture("mark", session, (120, 40), mark)
    await picture("graph", session, (120, 40), press("g"))
    await picture("help", session, (120, 40), press("question_mark"))
    guard.stop()
    session.close(5)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
