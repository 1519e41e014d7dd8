"""`mlxtop doctor`: test what mlxtop needs, and print the results for a bug report."""

import json
import signal
import sys
from collections.abc import Iterator

import click

from mlxtop.cli import completion, options
from mlxtop.cli.signals import catch
from mlxtop.cli.values import COUNT
from mlxtop.doctor.finding import Finding


@click.command(epilog="Try: mlxtop doctor > doctor.txt")
@click.argument("pid", metavar="[PID]", type=COUNT, required=False, shell_complete=completion.programs)
@click.option(
    "--keys", "press_keys", is_flag=True, help="Test which of mlxtop's keys reach it in this terminal."
)
@options.JSON("One array.")
@click.pass_context
def doctor(ctx: click.Context, pid: int | None, press_keys: bool, as_json: bool) -> None:
    """Test what mlxtop needs on this machine: MLX, limits, sockets, debuggers, terminal, timer.

    Each line is ok, missing (with advice) or wrong (please report it). The tests run in separate processes.
    With PID it also attaches to that program, as mlxtop attach does.
    The exit code is 1 if anything is wrong, otherwise 0.
    """
    from mlxtop.doctor import report

    # Exits in order, so that test processes are ended too.
    catch(lambda number, _: sys.exit(128 + number), (signal.SIGTERM, signal.SIGHUP))
    found: list[Finding] = []

    def kept() -> Iterator[Finding]:
        for finding in report.examine(pid, press_keys):
            found.append(finding)
            yield finding

    if as_json:
        click.echo(json.dumps([finding.to_json() for finding in kept()], indent=2))
    else:
        for line in report.lines(kept()):
            click.echo(line)
    ctx.exit(0 if report.is_healthy(found) else 1)
