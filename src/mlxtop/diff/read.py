"""Reads either side of a comparison, whatever kind of file it is: its content tells."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from mlxtop.core.errors import MlxtopError, UsageError
from mlxtop.core.parsing import parse_json
from mlxtop.core.text import one_line
from mlxtop.diff import json_lines, recorded, swept, traced
from mlxtop.diff.run import KINDS, Run
from mlxtop.diff.series import Sampled
from mlxtop.sweep import store
from mlxtop.trace import layout

SQLITE = b"SQLite format 3\0"
MOST_BYTES = 2**28
"""The largest JSON document that is read at once."""
WHAT = "a recording, a trace, a sweep's --json file or the output of mlxtop --json"


class UnreadableError(UsageError):
    """A file that is not to be compared, or cannot be read."""


def read(path: Path) -> Run:
    """What the file tells of a run. Raises `UnreadableError`."""
    with _readable(path), path.open("rb") as file:
        assert isinstance(file, BufferedReader)
        head = file.peek(1024)
        if head.startswith(SQLITE):
            return recorded.read(path)
        if head.startswith(layout.MAGIC):
            return traced.read(path)
        return _read_json(path, file, head)


def sampled(run: Run) -> Sampled:
    """The samples of a run's file, to be drawn. Raises `UnreadableError`, also for a file that has none."""
    with _readable(run.path):
        if run.kind == "recording":
            found = recorded.sampled(run.path)
        elif run.kind == "stream":
            with run.path.open("rb") as file:
                found = json_lines.sampled(run.path, file)
        else:
            raise UnreadableError(f"{_shown(run.path)} is a {KINDS[run.kind]}, which has no samples to draw.")
    if not len(found.series):
        raise UnreadableError(f"{_shown(run.path)} has no samples to draw.")
    return found


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Makes whatever is wrong with the file an `UnreadableError`."""
    try:
        yield
    except UnreadableError:
        raise
    except OSError as error:
        raise UnreadableError(f"{_shown(path)} cannot be read: {error.strerror or error}.") from error
    except MlxtopError as error:
        raise UnreadableError(str(error)) from error


def _read_json(path: Path, file: BufferedReader, head: bytes) -> Run:
    if not head.strip():
        raise UnreadableError(f"{_shown(path)} is empty: give {WHAT}.")
    first = head.lstrip()
    if not first.startswith(b"{"):
        raise UnreadableError(f"{_shown(path)} is not {WHAT}.")
    if json_lines.is_stream(first):
        return json_lines.read(path, file)
    data = _document(path, file)
    kind = data.get("type")
    if kind == store.SIGN:
        return swept.read(path)
    if kind == "summary":
        return json_lines.of_summary(path, data)
    raise UnreadableError(f"{_shown(path)} is JSON, but not {WHAT}.")


def _document(path: Path, file: BufferedReader) -> dict[str, Any]:
    text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise UnreadableError(f"{_shown(path)} is not {WHAT}: it is too long.")
    try:
        data = parse_json(text)
    except ValueError as error:
        raise UnreadableError(f"{_shown(path)} is not {WHAT}: it is no whole JSON.") from error
    return data if isinstance(data, dict) else {}


def _shown(path: Path) -> str:
    return one_line(os.fspath(path))
