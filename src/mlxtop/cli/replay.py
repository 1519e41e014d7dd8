"""`mlxtop replay`: show a recording in the dashboard."""

from pathlib import Path
from typing import NoReturn

import click

from mlxtop.cli.hard_exit import hard_exit, tell
from mlxtop.cli.values import FILE


@click.command(epilog="Try: mlxtop replay overnight.mlxtop")
@click.argument("file", type=FILE)
def replay(file: Path) -> NoReturn:
    """Show a recording. Space plays and pauses, the arrow keys move through time.

    The view starts at the end of the recording. Marks and deltas work between any two moments. The file is
    not changed.
    """
    from mlxtop.cli.screen import run_app
    from mlxtop.sessions.replay import ReplayFleet
    from mlxtop.tui.app import MlxtopApp
    from mlxtop.tui.terminal import check

    fleet = ReplayFleet(file)
    check()
    app = run_app(lambda: MlxtopApp(fleet=fleet, opened=fleet.start_check))
    if fleet.damage is not None:
        tell(fleet.damage)
    hard_exit(app.return_code or 0)
