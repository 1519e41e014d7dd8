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
  ssh -N -L /tmp/far.sock:/run/user/1000/mlxtop/4242.sock host &  mlxtop attach /tmp/far.sock
"""
)
@watch_options
@click.argument("which", metavar="PID|SOCKET")
def attach(which: str, **values: Any) -> NoReturn:
    """Watch a program that already runs, by its process id or its agent's socket.

    A program that mlxtop run started, or that calls mlxtop.watch(), is found at once; any other Python
    program with MLX in it takes an agent in by a debugger (gdb, lldb), or by itself from Python 3.14 on.
    """
    from mlxtop.session import attach as session
    from mlxtop.tui.app import MlxtopApp
    from mlxtop.tui.terminal import check, terminal

    check()
    fleet = session.attach(which, wishes(values))
    watched = fleet.session_found
    assert watched is not None
    with terminal(lambda text: watched.transcript.write("log", text), not os.isatty(0)):
        app = MlxtopApp(watched, ask=lambda: question(watched))
        app.run()
    if app.answer == "restore":
        watched.put_back()
    fleet.stop()
    leave(app.return_code or 0)


def question(watched: "RemoteSession") -> "tuple[str, Sequence[Choice]] | None":
    """What to ask before leaving: only whether limits that were changed here go back."""
    from mlxtop.tui.screens.dialogs import Choice

    altered = watched.altered()
    if not altered or watched.ended is not None:
        return None
    back = ", ".join(f"{knob} limit to {format_size(size)}" for knob, size in altered.items())
    return f"{watched.title} goes on (process {watched.pid}).", (
        Choice("restore", f"Put back the {back}"),
        Choice("keep", "Leave the limits as they are"),
    )
