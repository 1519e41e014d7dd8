"""`mlxtop attach`: watch a running program."""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mlxtop.cli import completion
from mlxtop.cli.hard_exit import hard_exit, tell, tell_traces
from mlxtop.cli.keeper import Keeper
from mlxtop.cli.options import on_join, parse_ceiling, watch_options, web_options
from mlxtop.cli.record import cause, end_recording, recorder
from mlxtop.cli.values import NAME
from mlxtop.cli.web import parse_web
from mlxtop.core.commands import RecordEvent
from mlxtop.core.events import ErrorRaised
from mlxtop.core.units import format_size

if TYPE_CHECKING:
    from mlxtop.sessions.attach import AttachFleet
    from mlxtop.sessions.budget_monitor import BudgetMonitor
    from mlxtop.sessions.remote import RemoteSession
    from mlxtop.sessions.session import Session
    from mlxtop.tui.screens.dialogs import Choice
    from mlxtop.web.host import Host


@click.command(
    epilog="""\b
Try:
  mlxtop attach 4242
  mlxtop attach 4242 4243                side by side
  mlxtop attach /tmp/rank1.sock          an agent's socket on another host, forwarded by ssh -L
"""
)
@watch_options("at the program's next safe point")
@web_options()
@click.argument(
    "which", metavar="PID|SOCKET...", type=NAME, nargs=-1, required=True, shell_complete=completion.programs
)
def attach(which: tuple[str, ...], **values: Any) -> NoReturn:
    """Watch running programs, by process id or by the path of their agent's socket.

    A program that was started with mlxtop run, or that calls mlxtop.watch(), already has an agent. In any
    other Python program that has imported MLX, mlxtop starts an agent with gdb or lldb, or with Python's own
    remote debugging from Python 3.14 on.
    """
    from mlxtop.sessions import attach as session
    from mlxtop.sessions.budget_monitor import BudgetMonitor
    from mlxtop.tui.terminal import check

    ceiling = parse_ceiling(values, here=False)
    session.check(which)
    web = parse_web(values)
    if web is None:
        check()
    recording = recorder(values["record"], values["record_text"])
    keeper = Keeper()
    fleet = session.attach(which, on_join(values, recording), keeper)

    def stop(session: "Session") -> None:
        for member in fleet.everyone:
            member.told_to_end = member.told_to_end or member is session
        terminate(session)

    monitor = BudgetMonitor(lambda: fleet.everyone, ceiling.spec, ceiling.actions, stop)
    code = in_terminal(fleet, monitor) if web is None else in_browser(web, fleet, monitor)
    monitor.stop()
    fleet.stop()
    tell_traces(fleet.everyone)
    keeper.tell()
    end_recording(recording, cause(code, goes_on=True))
    hard_exit(code)


def in_terminal(fleet: "AttachFleet", monitor: "BudgetMonitor") -> int:
    """Shows the programs until the screen is closed. Returns the exit code."""
    from mlxtop.cli.screen import run_app
    from mlxtop.tui.app import MlxtopApp

    alone = fleet.everyone[0] if len(fleet.everyone) == 1 else None
    app = run_app(
        lambda: MlxtopApp(
            alone, monitor.start, fleet=None if alone else fleet, ask=lambda: question(fleet.everyone)
        ),
        lambda text: fleet.everyone[0].transcript.write("log", text),
    )
    if app.answer == "restore":
        for watched in fleet.everyone:
            watched.restore_limits()
    return app.return_code or 0


def in_browser(web: "Host", fleet: "AttachFleet", monitor: "BudgetMonitor") -> int:
    """Shows the programs in a browser until a signal comes. Returns the exit code."""
    from mlxtop.web.app import View

    title = " ".join(["mlxtop", *(session.title for session in fleet.everyone)])
    code = web.run(lambda: View(fleet=fleet), title, monitor.start)
    if back := altered(fleet.everyone):
        tell(f"The limits stay as they are now. Before this session: {back}.")
    return code


def terminate(session: "Session") -> None:
    """Sends SIGTERM to an attached program. On another host this is not possible: its session says so."""
    if session.process is not None:
        with suppress(OSError):
            os.kill(session.process, signal.SIGTERM)
    else:
        why = "Could not stop the program: it may not run on this machine."
        session.submit(RecordEvent(ErrorRaised(why, "budget")))


def question(sessions: "Sequence[RemoteSession]") -> "tuple[str, Sequence[Choice]] | None":
    """The question before leaving and its answers; `None` when no limits were changed."""
    from mlxtop.tui.screens.dialogs import Choice

    back = altered(sessions)
    if not back:
        return None
    return "You changed limits in this session.", (
        Choice("restore", f"Restore the {back}"),
        Choice("keep", "Keep the limits as they are"),
    )


def altered(sessions: "Sequence[RemoteSession]") -> str:
    """The limits that would be restored, as text; empty when there are none."""
    live = (session for session in sessions if session.ended is None)
    found = [
        f"{name} limit to {format_size(size)}" for s in live for name, size in s.changed_limits().items()
    ]
    return ", ".join(dict.fromkeys(found))
