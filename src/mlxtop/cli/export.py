"""`mlxtop export`: a recording for other tools."""

import io
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlxtop.cli import options
from mlxtop.cli.values import FILE
from mlxtop.core.errors import UsageError

if TYPE_CHECKING:
    from mlxtop.recording.reader import Recording

BROKEN_PIPE = 128 + signal.SIGPIPE
STANDARD_OUTPUT = Path("-")


@click.command(epilog="Try: mlxtop export overnight.mlxtop --format csv -o overnight.csv")
@click.argument("file", type=FILE)
@click.option(
    "--format", "form", type=click.Choice(("csv", "jsonl", "parquet")), required=True,
    help="csv and parquet: one row a sample; jsonl: what mlxtop --json prints, events too.",
)  # fmt: skip
@options.OUTPUT("- is standard output, which parquet does not go to.", default=STANDARD_OUTPUT)
def export(file: Path, form: str, out: Path) -> int:
    """Write a recording as CSV, JSON lines or Parquet. Sizes are bytes, times seconds."""
    from mlxtop.core.files import cannot_write
    from mlxtop.recording.reader import Recording

    if form == "parquet" and out == STANDARD_OUTPUT:
        raise UsageError("parquet goes to a file only: add -o OUT.parquet.")
    spare(file, out)
    recording = Recording(file)
    try:
        _write(recording, form, out)
    except BrokenPipeError:
        # Nobody reads any more: what is left in the buffer must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return BROKEN_PIPE
    except OSError as error:
        raise cannot_write(out, error) from error
    recording.check()
    tell_damage(recording)
    recording.close()
    return 1 if recording.holes else 0


def _write(recording: "Recording", form: str, out: Path) -> None:
    from mlxtop.cli.hard_exit import tell
    from mlxtop.core.files import writing
    from mlxtop.recording.export import WRITERS, write_parquet

    if out == STANDARD_OUTPUT:
        WRITERS[form](recording, sys.stdout)
        sys.stdout.flush()
        return
    with writing(out, tell) as target:
        if form == "parquet":
            write_parquet(recording, target)
            return
        text = io.TextIOWrapper(target, encoding="utf-8", newline="")
        WRITERS[form](recording, text)
        text.detach()


def spare(file: Path, out: Path) -> None:
    """Raises `UsageError` when `out` is the recording itself."""
    if out.exists() and file.exists() and out.samefile(file):
        raise UsageError(f"{out} is the recording itself: give -o another name.")


def tell_damage(recording: "Recording") -> None:
    """Says on standard error what of a recording could not be read, where that is so."""
    from mlxtop.cli.hard_exit import tell

    damage = recording.damage_sentence()
    if damage is not None:
        tell(damage)
