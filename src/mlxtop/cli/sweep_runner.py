"""Runs `mlxtop sweep` with or without a screen, and writes its results."""

import json
import os
import shlex
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakSet

import click

from mlxtop.cli.hard_exit import hard_exit, tell
from mlxtop.cli.signals import catch
from mlxtop.cli.sweep_text import charts, report
from mlxtop.core.facts import Facts
from mlxtop.core.files import OutputError, is_regular, put
from mlxtop.core.text import block
from mlxtop.core.units import format_span
from mlxtop.sweep import store, table
from mlxtop.sweep.command_executor import CommandExecutor
from mlxtop.sweep.executor import Executor, ModelExecutor
from mlxtop.sweep.html_report import page
from mlxtop.sweep.measurement import Measurement
from mlxtop.sweep.plan import Plan
from mlxtop.sweep.recommendation import too_few
from mlxtop.sweep.results import Summary
from mlxtop.sweep.runner import Sweep
from mlxtop.sweep.store import Stored
from mlxtop.sweep.target import CommandTarget, ModelTarget
from mlxtop.system import self_usage

if TYPE_CHECKING:
    from mlxtop.web.host import Host

STDOUT = Path("-")
LEAVE_WITHIN = 6.0


@dataclass(frozen=True, slots=True)
class Outputs:
    """The output files. `-` is standard output; the summary is then not printed there."""

    json: Path | None
    csv: Path | None
    markdown: Path | None
    html: Path | None

    @property
    def takes_stdout(self) -> bool:
        return STDOUT in (self.json, self.csv, self.markdown, self.html)

    def keep(self, summary: Summary, facts: Facts, measurements: list[Measurement]) -> None:
        """Writes the file for --resume, after every cell. A device or a FIFO is written only at the end."""
        if self._kept is not None:
            put(self._kept, store.text(summary, facts, measurements))

    @property
    def _kept(self) -> Path | None:
        """The file that is written after every cell."""
        again = self.json is not None and self.json != STDOUT and is_regular(self.json)
        return self.json if again else None

    def end(self, sweep: Sweep) -> None:
        """Writes all outputs. Raises `OutputError`."""
        summary, facts = sweep.summary, sweep.facts
        if self.csv is not None:
            _put(self.csv, table.comma_separated(summary, sweep.measurements))
        if self.markdown is not None:
            _put(self.markdown, table.markdown(summary, facts, charts(summary)))
        if self.html is not None:
            _put(self.html, page(summary, facts, sweep.measurements))
        if self.json == STDOUT:
            _put(STDOUT, json.dumps(store.to_json(summary, facts, sweep.measurements)) + "\n")
        elif self.json is not None and self._kept is None:
            _put(self.json, store.text(summary, facts, sweep.measurements))


def _put(out: Path, text: str) -> None:
    if out == STDOUT:
        click.echo(text, nl=False)
        return
    put(out, text, tell)


def executor(plan: Plan) -> Executor:
    """The executor for the plan's target."""
    match plan.target:
        case ModelTarget() as target:
            return ModelExecutor(plan, target)
        case CommandTarget() as target:
            return CommandExecutor(plan, target)


def run_headless(plan: Plan, stored: Stored | None, outputs: Outputs) -> NoReturn:
    """Measures, prints progress on standard error and the result on standard output."""
    last: list[Any] = [None]

    def changed(sweep: Sweep) -> None:
        line = progress_line(sweep)
        if line is not None and line != last[0]:
            last[0] = line
            with suppress(OSError):
                tell(line)

    few = too_few(plan.rounds)
    if few is not None:
        tell(few)
    sweep = Sweep(plan, executor(plan), changed=changed, keep=outputs.keep, stored=stored)
    signals: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if signals:
            hard_exit(128 + number)
        signals.append(number)
        sweep.stop()

    catch(interrupt)
    sweep.run()
    finish(sweep, outputs, 128 + signals[0] if signals else 0)


def progress_line(sweep: Sweep) -> str | None:
    """One line about what is measured next; `None` when there is nothing to say."""
    progress, plan = sweep.progress, sweep.plan
    if progress.stage == "load":
        return f"loading {plan.target.name}" if isinstance(plan.target, ModelTarget) else None
    if progress.cell is None:
        return None
    what, tokens = plan.label(progress.cell.arm), plan.lengths[progress.cell.length]
    if tokens is not None:
        what += f", prompt {tokens}"
    if progress.stage == "warm-up":
        return f"warming up: {what}"
    left = "" if progress.left is None else f", at most {format_span(round(progress.left))} left"
    return f"{progress.done + 1} of {progress.total}: {what}{left}"


def run_screen(plan: Plan, stored: Stored | None, outputs: Outputs) -> NoReturn:
    """Measures with a screen. Prints the result when the screen is closed."""
    from mlxtop.cli.screen import run_app
    from mlxtop.tui.app import MlxtopApp
    from mlxtop.tui.screens.sweep import SweepScreen

    sweep = Sweep(plan, executor(plan), keep=outputs.keep, stored=stored)
    screen = SweepScreen(sweep)
    sweep.changed = screen.changed
    thread = threading.Thread(target=self_usage.counted()(sweep.run), name="mlxtop-sweep", daemon=True)
    app = run_app(lambda: MlxtopApp(first=screen, opened=thread.start))
    leave(sweep, thread, outputs, app.return_code or 0)


def run_in_browser(plan: Plan, stored: Stored | None, outputs: Outputs, web: "Host") -> NoReturn:
    """Measures, and shows it in a browser. Prints the result once a signal has come."""
    from mlxtop.tui.screens.sweep import SweepScreen
    from mlxtop.web.app import View

    screens: WeakSet[SweepScreen] = WeakSet()

    def changed(sweep: Sweep) -> None:
        for screen in tuple(screens):
            screen.changed(sweep)

    def view() -> View:
        screen = SweepScreen(sweep)
        screens.add(screen)
        return View(first=screen, own=True)

    sweep = Sweep(plan, executor(plan), changed=changed, keep=outputs.keep, stored=stored)
    thread = threading.Thread(target=self_usage.counted()(sweep.run), name="mlxtop-sweep", daemon=True)
    leave(sweep, thread, outputs, web.run(view, "mlxtop sweep", thread.start))


def leave(sweep: Sweep, thread: threading.Thread, outputs: Outputs, code: int) -> NoReturn:
    """Stops a sweep whose screen was closed, and ends the process."""
    if thread.is_alive():
        sweep.stop()
        thread.join(LEAVE_WITHIN)
    if sweep.progress.stage == "stopped" and code == 0:
        code = 130
    finish(sweep, outputs, code)


def finish(sweep: Sweep, outputs: Outputs, code: int) -> NoReturn:
    """Prints and writes the result, and ends the process."""
    try:
        if sweep.failure is not None:
            tell(f"{sweep.failure}")
            code = sweep.failure.exit_code
        elif sweep.progress.stage != "done":
            tell(f"{interrupted(sweep, outputs.json)}")
        if any(measurement.values for measurement in sweep.measurements):
            if not outputs.takes_stdout:
                click.echo(block(report(sweep)))
            outputs.end(sweep)
        sys.stdout.flush()
    except OutputError as error:
        tell(str(error))
        code = code or error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 128 + signal.SIGPIPE
    hard_exit(code)


def interrupted(sweep: Sweep, kept: Path | None) -> str:
    """How far an unfinished sweep got, and how to continue it. `kept` is its --json file."""
    progress = sweep.progress
    if not sweep.measurements:
        return "interrupted before the first measurement."
    line = f"interrupted after {progress.done} of {progress.total} measurements."
    if kept is None:
        return f"{line} It cannot be continued: that needs --json FILE."
    name = "FILE" if kept == STDOUT else shlex.quote(str(kept))
    return f"{line} Continue with: mlxtop sweep --resume {name}"
