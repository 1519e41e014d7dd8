"""`mlxtop export`: convert a recording for other tools."""

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
    help="csv and parquet have one row per sample; jsonl has samples and events, like mlxtop --json.",
)  # fmt: skip
@options.OUTPUT("- is standard output (not for parquet).", default=STANDARD_OUTPUT)
def export(file: Path, form: str, out: Path) -> int:
    """Write a recording as CSV, JSON lines or Parquet. Sizes are in bytes, times in seconds."""
    from mlxtop.core.files import cannot_write
    from mlxtop.recording.reader import Recording

    if form == "parquet" and out == STANDARD_OUTPUT:
        raise UsageError("Parquet cannot be written to standard output: add -o OUT.parquet.")
    spare(file, out)
    recording = Recording(file)
    try:
        _write(recording, form, out)
    except BrokenPipeError:
        # The reader closed the pipe. The rest of the buffer must not raise at exit.
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
    from mlxtop.recording.export import WRITERS

    if out == STANDARD_OUTPUT:
        WRITERS[form](recording, sys.stdout)
        sys.stdout.flush()
        return
    with writing(out, tell) as target:
        if form == "parquet":
            # NumPy is imported for it.
            from mlxtop.recording.parquet import write_parquet

            write_parquet(recording, target)
            return
        text = io.TextIOWrapper(target, encoding="utf-8", newline="")
        WRITERS[form](recording, text)
        text.detach()


def spare(file: Path, out: Path, what: str = "recording") -> None:
    """Raises `UsageError` when `out` is what is read, a recording for example."""
    if out.exists() and file.exists() and out.samefile(file):
        raise UsageError(f"{out} is the {what} itself: choose another file with -o.")


def tell_damage(recording: "Recording") -> None:
    """Prints on standard error which part of a recording could not be read, if any."""
    from mlxtop.cli.hard_exit import tell

    damage = recording.damage_sentence()
    if damage is not None:
        tell(damage)
