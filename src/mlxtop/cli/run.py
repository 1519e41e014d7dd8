"""`mlxtop run`: start a program and watch it."""

import contextlib
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

import click

from mlxtop.cli import completion, options, streams
from mlxtop.cli.attach import altered
from mlxtop.cli.foreground import Foreground
from mlxtop.cli.hard_exit import hard_exit, show, tell, tell_traces
from mlxtop.cli.keeper import Keeper
from mlxtop.cli.options import BudgetOptions, on_join, parse_ceiling, watch_options
from mlxtop.cli.record import cause, end_recording, recorder
from mlxtop.cli.signals import catch
from mlxtop.cli.values import FILE
from mlxtop.cli.web import parse_web
from mlxtop.core.errors import UsageError
from mlxtop.mlx import trace_files
from mlxtop.sessions.budget_monitor import BudgetMonitor
from mlxtop.sessions.program import CannotStartError, Program
from mlxtop.sessions.run_fleet import RunFleet
from mlxtop.sessions.session import Session

if TYPE_CHECKING:
    from mlxtop.web.host import Host

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


@click.command(
    cls=completion.RunsProgram,
    context_settings={"allow_interspersed_args": False},
    epilog="""\b
Try:
  mlxtop run -- python train.py
  mlxtop run -- mlx_lm.server --model PATH --port 8080
  mlxtop run --headless -- mlx_lm.generate --model PATH --prompt hello
  mlxtop run -- mlx.launch -n 4 --backend ring -- python train.py
""",
)
@watch_options("when the program imports MLX")
@click.option(
    "--log",
    type=FILE,
    metavar="FILE",
    help="Write the program's output to FILE.",
)
@options.TRACE("Write --trace=FILE, or end the options with --.")
@options.web_options()
@options.HEADLESS("The program uses the terminal; a summary is printed at the end.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, shell_complete=completion.program)
def run(command: tuple[str, ...], log: Path | None, trace: str | None, headless: bool, **values: Any) -> None:
    """Start a program and watch its MLX memory.

    The program needs no changes. Each child process that imports MLX is shown as a session of its own. The
    program keeps its standard input, and mlxtop exits with the program's exit code.
    """
    from mlxtop.tui.terminal import check

    ceiling = parse_ceiling(values)
    asked = None if trace is None else trace_request(trace)
    web = parse_web(values, headless)
    if not headless and web is None:
        check()
    recording = recorder(values["record"], values["record_text"])
    foreground = Foreground() if headless else None

    def first() -> None:
        if foreground is not None:
            foreground.take()
        streams.close_again(given=(1, 2) if log is not None and headless else ())

    try:
        program = Program(command, screen=not headless, log=log, first=first, trace=asked)
    except CannotStartError:
        if foreground is not None:
            foreground.back()
        raise
    keeper = Keeper()
    fleet = RunFleet(program, on_join(values, recording), keeper)
    monitor = budget_monitor(fleet, ceiling)
    if web is not None:
        code = run_in_browser(fleet, monitor, web)
    else:
        code = run_headless(fleet, monitor, foreground) if foreground else run_screen(fleet, monitor)
    tell_traces(fleet.members())
    keeper.tell()
    end_recording(
        recording, f"the program {program.how()}" if program.code is not None else cause(code, goes_on=True)
    )
    hard_exit(code)


def trace_request(given: str) -> str:
    """What the value of --trace, empty without a file, asks of the program. Raises `UsageError`."""
    from mlxtop.cli.trace_run import request

    if given and not given.endswith(trace_files.SUFFIX) and which(given) is not None:
        raise UsageError(f"--trace took {given} for its file: write mlxtop run --trace -- {given} …")
    return request(Path(given) if given else None)


def budget_monitor(fleet: RunFleet, ceiling: BudgetOptions) -> BudgetMonitor:
    """A monitor of the budgets of all processes of a program. Its stop action stops the whole program."""

    def stop(_session: Session) -> None:
        threading.Thread(target=fleet.program.stop, name="mlxtop-stop", daemon=True).start()

    return BudgetMonitor(fleet.members, ceiling.spec, ceiling.actions, stop)


def run_screen(fleet: RunFleet, monitor: BudgetMonitor) -> int:
    """Shows the program until the screen is closed. Returns the exit code for mlxtop."""
    from mlxtop.cli.screen import tell_end
    from mlxtop.tui.app import MlxtopApp
    from mlxtop.tui.screens.dialogs import Choice
    from mlxtop.tui.terminal import terminal

    program = fleet.program
    signals: list[int] = []

    def ask() -> tuple[str, Sequence[Choice]] | None:
        if program.code is not None:
            return None
        back = altered(fleet.members())
        choices = [Choice("stop", "Stop the program")]
        if back:
            choices.append(Choice("restore", f"Leave it running and restore the {back}"))
        choices.append(Choice("keep", "Leave it running" + (" with its present limits" if back else "")))
        return f"{fleet.title} is running (process {program.pid}).", choices

    def signalled(number: int) -> None:
        if number == signal.SIGHUP:
            # mlxtop's terminal is gone. The program has a session of its own and keeps running.
            app.exit(None, 128 + number)
            return
        # A second signal ends mlxtop: the program may ignore signals.
        if signals or program.code is not None:
            app.exit(None, 128 + number)
        signals.append(number)
        program.signal(number)

    def opened() -> None:
        fleet.start()
        monitor.start()

    with terminal(fleet.log, not os.isatty(0)):
        app = MlxtopApp(fleet=fleet, opened=opened, ask=ask, signalled=signalled)
        app.run()
    tell_end(app, (line.text for line in fleet.transcript.since(0)) if fleet.transcript else ())
    monitor.stop()
    return end(fleet, app.answer, app.return_code or 0)


def run_in_browser(fleet: RunFleet, monitor: BudgetMonitor, web: "Host") -> int:
    """Shows the program in a browser until a signal comes. Returns the exit code for mlxtop.

    The first signal goes to the program. mlxtop ends with the program then, or with the second signal.
    """
    from mlxtop.web.app import View

    program = fleet.program
    signals: list[int] = []

    def signalled(number: int) -> None:
        if number == signal.SIGHUP or signals or program.code is not None:
            web.exit(128 + number)
            return
        signals.append(number)
        program.signal(number)
        tell(f"passed {signal.Signals(number).name} to {fleet.title}; a second one ends mlxtop.")

    def opened() -> None:
        fleet.start()
        monitor.start()

    def over() -> bool:
        return bool(signals) and program.code is not None

    code = web.run(lambda: View(fleet=fleet), fleet.title, opened, signalled, over)
    monitor.stop()
    return end(fleet, None, code)


def end(fleet: RunFleet, answer: str | None, code: int) -> int:
    """Does what the person chose. Returns the program's exit code, or `code` while the program runs."""
    program = fleet.program
    if answer == "restore":
        for member in fleet.members():
            member.restore_limits()
    fleet.stop()
    if answer == "stop":
        program.stop()
    if program.code is None:
        output = f" with its output in {program.log}" if program.log else ""
        with contextlib.suppress(OSError):
            tell(f"{fleet.title} is still running{output}. Watch it with: mlxtop attach {program.pid}")
        return code
    with contextlib.suppress(OSError):
        tell(f"{fleet.title} {program.how()}")
    program.forget_log()
    return program.exit_code


def run_headless(fleet: RunFleet, monitor: BudgetMonitor, foreground: Foreground) -> int:
    """Leaves the terminal to the program, forwards signals and prints a summary of each session.

    Returns the program's exit code.
    """
    program = fleet.program
    catch(lambda number, _frame: program.signal(number), FORWARDED)
    fleet.start()
    monitor.start()
    foreground.wait(program)
    foreground.back()
    monitor.stop()
    fleet.settle()
    show(report(fleet) + "\n")
    return program.exit_code


def report(fleet: RunFleet) -> str:
    """The summary of each process that used MLX, as text."""
    from mlxtop.cli.summary import describe, summarize

    parts = [fleet.problem] if fleet.problem else []
    parts += [f"=======\n{m.title} (process {m.pid})\n{describe(summarize(m))}" for m in fleet.members()]
    parts.append(f"mlxtop: {fleet.status()}")
    return "\n\n".join(parts)
