"""`mlxtop report`: a recording as one HTML page, for example for a bug report."""

import sys
from pathlib import Path

import click

from mlxtop.cli import options
from mlxtop.cli.values import FILE
from mlxtop.core.errors import UsageError
from mlxtop.core.text import one_line


@click.command(epilog="Try: mlxtop report overnight.mlxtop && open overnight.html")
@click.argument("file", type=FILE)
@options.OUTPUT("[default: FILE with the suffix .html]", metavar="OUT.html")
def report(file: Path, out: Path | None) -> None:
    """Write a recording as one HTML page that needs no other file, and print its path.

    The page shows the timeline, verdict, growth, limits, events, machine and versions. It contains the
    program's command line, but no prompts, replies or output.
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
        raise UsageError(f"{target} exists and is not an mlxtop report: choose another file with -o.")
    recording.check()
    text = page(recording)
    recording.close()
    put(target, text, tell)
    tell_damage(recording)
    # A script gets the exact path; on a terminal control characters are removed.
    click.echo(one_line(str(target)) if sys.stdout.isatty() else target)


def _ours(target: Path) -> bool:
    """Whether `target` does not exist, or is a page that mlxtop wrote."""
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
