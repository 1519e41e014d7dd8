"""`mlxtop report`: a recording as one page, to be attached to a bug report."""

import sys
from pathlib import Path

import click

from mlxtop.cli import options
from mlxtop.cli.values import FILE
from mlxtop.core.errors import UsageError
from mlxtop.core.text import one_line


@click.command(epilog="Try: mlxtop report overnight.mlxtop && open overnight.html")
@click.argument("file", type=FILE)
@options.OUTPUT("[default: beside FILE, with its name]", metavar="OUT.html")
def report(file: Path, out: Path | None) -> None:
    """Write a recording as one HTML page that needs no other file, and print its path.

    The page has the timeline, verdict, growth, limits, events, machine and versions. It contains the command
    line, and no prompts, replies or output.
    """
    from mlxtop.cli.export import spare, tell_damage
    from mlxtop.cli.hard_exit import tell
    from mlxtop.core.files import put
    from mlxtop.recording.reader import Recording
    from mlxtop.report.page import page

    recording = Recording(file)
    target = out or file.with_suffix(".html")
    spare(file, target)
    if out is None and not _ours(target):
        raise UsageError(f"{target} is no report of mlxtop's: name the page with -o.")
    recording.check()
    text = page(recording)
    recording.close()
    put(target, text, tell)
    tell_damage(recording)
    # A path for a script is as it is; a terminal obeys nothing in it.
    click.echo(one_line(str(target)) if sys.stdout.isatty() else target)


def _ours(target: Path) -> bool:
    """Whether there is nothing at `target`, or a page that mlxtop wrote."""
    from mlxtop.report.render import SIGN

    if not target.exists():
        return True
    if not target.is_file():
        return False
    try:
        with target.open("rb") as page:
            return SIGN.encode() in page.read(2000)
    except OSError:
        return False
