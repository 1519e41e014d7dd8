"""`mlxtop attach`: watch a program that already runs."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mlxtop.cli.leave import leave
from mlxtop.cli.params import watch_options, wishes
from mlxtop.core.units import format_size

if TYPE_CHECKING:
    from mlxtop.session.remote import RemoteSession
    from mlxtop.tui.screens.dialogs import Choice


@click.command(
    epilog="""\b
Try:
  mlxtop attach 4242
  mlxtop attach 4242 4243                side by side
  mlxtop attach /tmp/rank1.sock          an agent's socket, forwarded from another host by ssh -L
"""
)
@watch_options
@click.argument("which", metavar="PID|SOCKET...", nargs=-1, required=True)
def attach(which: tuple[str, ...], **values: Any) -> NoReturn:
    """Watch programs that already run, by process id or by their agents' sockets.

    A program that mlxtop run started, or that calls mlxtop.watch(), is found at once; any other Python
    program with MLX in it takes an agent in by a debugger (gdb, lldb), or by itself from Python 3.14 on.
    """
    from mlxtop.session import attach as session
    from mlxtop.tui.app import MlxtopApp
    from mlxtop.tui.terminal import check, terminal

    check()
    fleet = session.attach(which, wishes(values))
    alone = fleet.everyone[0] if len(fleet.everyone) == 1 else None
    with terminal(lambda text: fleet.everyone[0].transcript.write("log", text), not os.isatty(0)):
        app = MlxtopApp(alone, fleet=None if alone else fleet, ask=lambda: question(fleet.everyone))
        app.run()
    if app.answer == "restore":
        for watched in fleet.everyone:
            watched.put_back()
    fleet.stop()
    leave(app.return_code or 0)


def question(sessions: "Sequence[RemoteSession]") -> "tuple[str, Sequence[Choice]] | None":
    """What to ask before leaving: only whether limits that were changed here go back."""
    from mlxtop.tui.screens.dialogs import Choice

    back = altered(sessions)
    if not back:
        return None
    return "Limits were changed from here.", (
        Choice("restore", f"Put back the {back}"),
        Choice("keep", "Leave the limits as they are"),
    )


def altered(sessions: "Sequence[RemoteSession]") -> str:
    """Which limits would be put back, in a few words."""
    live = (session for session in sessions if session.ended is None)
    found = [f"{knob} limit to {format_size(size)}" for s in live for knob, size in s.altered().items()]
    return ", ".join(dict.fromkeys(found))
