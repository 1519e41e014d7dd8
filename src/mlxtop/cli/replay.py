"""`mlxtop replay`: show a recording in the dashboard."""

import os
from pathlib import Path
from typing import NoReturn

import click

from mlxtop.cli.hard_exit import Printed, hard_exit, tell, tell_last
from mlxtop.cli.values import FILE


@click.command(epilog="Try: mlxtop replay overnight.mlxtop")
@click.argument("file", type=FILE)
def replay(file: Path) -> NoReturn:
    """Show a recording. Space plays and pauses, the arrow keys move through time.

    The view starts at the end of the recording. Marks and deltas work between any two moments. The file is
    not changed.
    """
    from mlxtop.sessions.replay import ReplayFleet
    from mlxtop.tui.app import MlxtopApp
    from mlxtop.tui.terminal import check, terminal

    fleet = ReplayFleet(file)
    check()
    printed = Printed()
    with terminal(printed, not os.isatty(0)):
        app = MlxtopApp(fleet=fleet, opened=fleet.start_check)
        app.run()
    printed.tell(app.crashed)
    tell_last(app)
    if fleet.damage is not None:
        tell(fleet.damage)
    hard_exit(app.return_code or 0)
