"""Where `mlxtop check` writes its result, beside standard error."""

import json
from dataclasses import dataclass
from pathlib import Path

import click

from mlxtop.check.result import Result
from mlxtop.cli import streams
from mlxtop.cli.hard_exit import tell
from mlxtop.cli.job_summary import add_to_summary
from mlxtop.core.errors import UsageError
from mlxtop.core.files import OutputError, put

STDOUT = Path("-")


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files for the result; `-` is standard output. Raises `UsageError` for what cannot work."""

    json: Path | None
    markdown: Path | None

    def __post_init__(self) -> None:
        given = [out for out in (self.json, self.markdown) if out is not None]
        if len(given) > 1 and given[0].absolute() == given[1].absolute():
            raise UsageError("--json and --markdown must be different files.")
        for out in given:
            if out != STDOUT and not out.absolute().parent.is_dir():
                raise UsageError(f"{out} cannot be written: there is no folder {out.absolute().parent}.")

    def write(self, result: Result) -> None:
        """Raises `OutputError`."""
        if self.json is not None:
            _put(self.json, json.dumps(result.to_json(), indent=2) + "\n")
        if self.markdown is not None:
            text = result.markdown()
            _put(self.markdown, text)
            add_to_summary(text)
        try:
            streams.flush()
        except BrokenPipeError as error:
            raise OutputError("Standard output was closed before the result was written.") from error


def _put(out: Path, text: str) -> None:
    if out == STDOUT:
        click.echo(text, nl=False)
    else:
        put(out, text, tell)
