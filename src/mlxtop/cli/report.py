"""`mlxtop report`: a recording as one HTML page, or the page about the program that died last."""

import sys
from pathlib import Path

import click

from mlxtop.cli import options
from mlxtop.cli.values import FILE
from mlxtop.core.errors import MlxtopError, UsageError
from mlxtop.core.text import one_line


@click.command(
    epilog="""\b
Try:
  mlxtop report overnight.mlxtop && open overnight.html
  mlxtop report --last                   why the last program died
"""
)
@click.argument("file", type=FILE, required=False)
@click.option("--last", is_flag=True, help="Print the page about the watched program that died last.")
@options.OUTPUT("[default: FILE with the suffix .html; standard output with --last]", metavar="OUT")
def report(file: Path | None, last: bool, out: Path | None) -> None:
    """Write a recording as one HTML page that needs no other file, and print its path.

    The page shows the timeline, verdict, growth, limits, events, machine and versions. It contains the
    program's command line, but no prompts, replies or output.

    When a program dies under mlxtop run or mlxtop attach, a page about it is kept: why it died, its last two
    minutes, limits, its last lines of output, and what to try. --last prints the newest as text.
    """
    if last == (file is not None):
        raise UsageError("Give a recording, or --last for the program that died last.")
    if file is None:
        _print_last(out)
    else:
        _write_page(file, out)


def _print_last(out: Path | None) -> None:
    from mlxtop.cli.hard_exit import tell
    from mlxtop.core.files import put
    from mlxtop.report import kept_pages

    path = kept_pages.newest()
    if path is None:
        raise MlxtopError(f"No program has died under mlxtop: there is no page in {kept_pages.folder()}.")
    text = path.read_text(encoding="utf-8", errors="replace")
    if out is None:
        click.echo(text, nl=False)
    else:
        put(out, text, tell)


def _write_page(file: Path, out: Path | None) -> None:
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
