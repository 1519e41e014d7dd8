"""`mlxtop run`: any program, watched from its first line."""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from mlxtop.cli.attach import altered
from mlxtop.cli.leave import leave
from mlxtop.cli.params import watch_options, wishes
from mlxtop.session.program import Program
from mlxtop.session.run import RunFleet

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="""\b
Try:
  mlxtop run -- python train.py
  mlxtop run -- mlx_lm.server --model PATH --port 8080
  mlxtop run --headless -- mlx_lm.generate --model PATH --prompt hello
  mlxtop run -- mlx.launch -n 4 --backend ring -- python train.py
""",
)
@watch_options
@click.option(
    "--log",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep the program's output in FILE.",
)
@click.option(
    "--headless", is_flag=True, help="No screen: the terminal is the program's; a summary at the end."
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...], log: Path | None, headless: bool, **values: Any) -> None:
    """Start any program under watch: its MLX memory live, with MLX's limits under your fingers.

    Nothing in the program changes; children that import MLX become sessions of their own. It keeps its
    standard input and its exit code, which becomes mlxtop's.
    """
    joined = wishes(values)
    if headless:
        run_headless(command, log, joined)
    else:
        run_screen(command, log, joined)


def run_screen(command: Sequence[str], log: Path | None, joined: Any) -> NoReturn:
    """Shows the program until the screen is left; what becomes of the program is asked."""
    from mlxtop.tui.app import MlxtopApp
    from mlxtop.tui.screens.dialogs import Choice
    from mlxtop.tui.terminal import check, terminal

    check()
    program = Program(command, screen=True, log=log)
    fleet = RunFleet(program, joined)
    signals: list[int] = []

    def ask() -> tuple[str, Sequence[Choice]] | None:
        if program.code is not None:
            return None
        back = altered(fleet.members())
        choices = [Choice("stop", "Stop the program")]
        if back:
            choices.append(Choice("restore", f"Leave it running and put back the {back}"))
        choices.append(Choice("keep", "Leave it running" + (" as it is" if back else "")))
        return f"{fleet.title} runs (process {program.pid}).", choices

    def signalled(number: int) -> None:
        # A second one is meant for us: the program may not care for signals.
        if signals or program.code is not None:
            app.exit(None, 128 + number)
        signals.append(number)
        program.signal(number)

    with terminal(fleet.log, not os.isatty(0)):
        app = MlxtopApp(fleet=fleet, opened=fleet.start, ask=ask, signalled=signalled)
        app.run()
    end(app, fleet)


def end(app: Any, fleet: RunFleet) -> NoReturn:
    """Carries out what was chosen, and leaves with the program's exit code."""
    program = fleet.program
    if app.crashed and fleet.transcript is not None:
        print("\n".join(line.text for line in fleet.transcript.since(0)), file=sys.stderr)
    if app.answer == "restore":
        for member in fleet.members():
            member.put_back()
    fleet.stop()
    if app.answer == "stop":
        program.stop()
    if program.code is None:
        kept = f"; its output goes to {program.log}" if program.log else ""
        click.echo(f"mlxtop: {fleet.title} goes on (mlxtop attach {program.pid}){kept}", err=True)
        leave(app.return_code or 0)
    click.echo(f"mlxtop: {fleet.title} {program.how()}", err=True)
    program.forget_log()
    leave(program.exit_code)


def run_headless(command: Sequence[str], log: Path | None, joined: Any) -> NoReturn:
    """Leaves the terminal to the program, forwards signals, and prints a summary of each session at the end."""
    from mlxtop.cli.foreground import foreground

    program = Program(command, screen=False, log=log)
    for number in FORWARDED:
        signal.signal(number, lambda n, _frame: program.signal(n))
    fleet = RunFleet(program, joined)
    fleet.start()
    foreground(program)
    fleet.settle()
    with contextlib.suppress(BrokenPipeError):
        click.echo(report(fleet), err=True)
    leave(program.exit_code)


def report(fleet: RunFleet) -> str:
    """What the run came to, a summary for each process that used MLX."""
    from mlxtop.cli.summary import describe, summarize

    parts = [fleet.problem] if fleet.problem else []
    parts += [f"=======\n{m.title} (process {m.pid})\n{describe(summarize(m))}" for m in fleet.members()]
    parts.append(f"mlxtop: {fleet.news()}")
    return "\n\n".join(parts)
