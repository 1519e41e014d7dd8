"""`mlxtop top`: all MLX programs on this machine, and on others by ssh, live."""

from typing import Any, NoReturn

import click

from mlxtop.cli import options
from mlxtop.cli.hard_exit import hard_exit
from mlxtop.cli.values import NAME
from mlxtop.cli.web import parse_web


@click.command(
    epilog="""\b
Try:
  mlxtop top                                         then Enter on a program
  mlxtop top --host gpu1 --host ssh://me@gpu2:2222
"""
)
@click.option(
    "--host",
    "hosts",
    type=NAME,
    multiple=True,
    metavar="ssh://[USER@]HOST[:PORT]",
    help="Also show the programs with an agent on this host, by ssh and your keys. A host of ~/.ssh/config "
    "will do. Can be given several times.",
)
@options.web_options()
def top(hosts: tuple[str, ...], **values: Any) -> NoReturn:
    """Show all MLX programs on this machine, and on others, side by side. Enter opens one."""
    from mlxtop.cli.screen import run_app
    from mlxtop.ipc import sockets
    from mlxtop.sessions.host import hosts_of
    from mlxtop.sessions.top_fleet import TopFleet
    from mlxtop.tui.app import MlxtopApp
    from mlxtop.tui.terminal import check

    others = hosts_of(hosts)
    web = parse_web(values)
    if web is None:
        check()
    sockets.remove_stale()
    fleet = TopFleet(others)
    if web is not None:
        from mlxtop.web.app import View

        code = web.run(lambda: View(fleet=fleet, alone=False), "mlxtop top", fleet.open)
        fleet.stop()
        hard_exit(code)
    app = run_app(lambda: MlxtopApp(fleet=fleet, opened=fleet.open, alone=False))
    fleet.stop()
    hard_exit(app.return_code or 0)
