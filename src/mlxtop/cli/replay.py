"""`mlxtop replay`: show a recording in the dashboard."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mlxtop.cli import options
from mlxtop.cli.hard_exit import hard_exit, tell
from mlxtop.cli.values import FILE
from mlxtop.cli.web import parse_web

if TYPE_CHECKING:
    from mlxtop.web.app import View


@click.command(epilog="Try: mlxtop replay overnight.mlxtop")
@options.web_options()
@click.argument("file", type=FILE)
def replay(file: Path, **values: Any) -> NoReturn:
    """Show a recording. Space plays and pauses, the arrow keys move through time.

    The view starts at the end of the recording. Marks and deltas work between any two moments. The file is
    not changed.
    """
    from mlxtop.cli.screen import run_app
    from mlxtop.sessions.replay import ReplayFleet
    from mlxtop.tui.app import MlxtopApp
    from mlxtop.tui.terminal import check

    fleet = ReplayFleet(file)
    web = parse_web(values)
    if web is not None:
        hard_exit(web.run(lambda: replayed(file), file.name))
    check()
    app = run_app(lambda: MlxtopApp(fleet=fleet, opened=fleet.start_check))
    if fleet.damage is not None:
        tell(fleet.damage)
    hard_exit(app.return_code or 0)


def replayed(file: Path) -> "View":
    """The recording for one tab, with a playhead of its own."""
    from mlxtop.sessions.replay import ReplayFleet
    from mlxtop.web.app import View

    fleet = ReplayFleet(file)
    fleet.start_check()
    return View(fleet=fleet, own=True, close=fleet.recording.close)
