"""`--record FILE`: what every command that shows a live session can keep."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from mlxtop.recording.recorder import Recorder
    from mlxtop.session.local import LocalSession
    from mlxtop.session.remote import RemoteSession

F = TypeVar("F", bound=Callable[..., Any])


def record_options(command: F) -> F:
    """Gives a command `--record` and `--record-text`; `recorder` makes sense of them."""
    text = click.option("--record-text", is_flag=True, help="Record prompts, replies and output too.")
    file = click.option(
        "--record",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Record the session in FILE, for mlxtop replay.",
    )
    return file(text(command))


def recorder(file: Path | None, text: bool) -> "Recorder | None":
    """What the options came to. Raises `RecordingError` when the file cannot be begun."""
    if file is None:
        return None
    from mlxtop.recording.recorder import Recorder

    found = Recorder(file, text)
    found.start()
    return found


def record_local(recorder: "Recorder", session: "LocalSession") -> None:
    """Records a model that runs in this process."""
    session.sinks.append(recorder.add(session, sys.argv, started=session.started))


def record_member(recorder: "Recorder", session: "RemoteSession") -> None:
    """Records one of the programs under watch."""
    about = {"pid": session.pid, "rank": session.rank, "label": session.label}
    session.sink = recorder.add(session, session.command, started=session.started, **about)
