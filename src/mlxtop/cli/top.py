"""`mlxtop top`: all MLX programs on this machine, live."""

import os
from typing import NoReturn

import click

from mlxtop.cli.hard_exit import Printed, hard_exit, tell_last


@click.command(epilog="Try: mlxtop top, then Enter on a program")
def top() -> NoReturn:
    """Show all MLX programs on this machine side by side. Enter opens one."""
    from mlxtop.ipc import sockets
    from mlxtop.sessions.top_fleet import TopFleet
    from mlxtop.tui.app import MlxtopApp
    from mlxtop.tui.terminal import check, terminal

    check()
    sockets.remove_stale()
    fleet = TopFleet()
    printed = Printed()
    with terminal(printed, not os.isatty(0)):
        app = MlxtopApp(fleet=fleet, opened=fleet.start, alone=False)
        app.run()
    printed.tell(app.crashed)
    tell_last(app)
    fleet.stop()
    hard_exit(app.return_code or 0)
