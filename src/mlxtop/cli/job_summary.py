"""The summary of a job of GitHub's: a file to which whatever runs in it adds Markdown."""

import os
from pathlib import Path

from mlxtop.core.files import append, cannot_write

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable with the file whose Markdown GitHub shows below a job."""


def add_to_summary(text: str) -> None:
    """Adds Markdown to the summary of the job that this runs in, if any. Raises `OutputError`."""
    path = os.environ.get(SUMMARY)
    if not path:
        return
    try:
        with os.fdopen(append(Path(path)), "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{text}\n\n")
    except OSError as error:
        raise cannot_write(Path(path), error) from error
