"""`--record FILE`: what every command that shows a live session can keep."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mlxtop.cli.hard_exit import tell

if TYPE_CHECKING:
    from mlxtop.recording.recorder import Recorder
    from mlxtop.sessions.local import LocalSession
    from mlxtop.sessions.remote import RemoteSession


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
    session.subscribe(recorder.add(session, sys.argv, started=session.started))


def record_member(recorder: "Recorder", session: "RemoteSession") -> None:
    """Records one of the programs under watch."""
    about = {"pid": session.pid if session.pid > 0 else None, "rank": session.rank, "label": session.label}
    session.subscribe(recorder.add(session, session.command, started=session.started, **about))


def end_recording(recorder: "Recorder | None", cause: str) -> None:
    """Ends a recording, `cause` its last word, and tells what it lacks, whatever the exit code."""
    if recorder is None:
        return
    recorder.stop(cause=cause)
    if recorder.failure is not None:
        tell(recorder.failure)


def cause(code: int, goes_on: bool = False) -> str:
    """Why a recording ends, by the exit code of what was watching; `goes_on`: the program does."""
    if code - 128 in list(signal.Signals):
        text = f"{'mlxtop was ' if goes_on else ''}ended by {signal.Signals(code - 128).name}"
    else:
        text = "mlxtop was left" if code == 0 else "mlxtop failed"
    return text + (", the program goes on" if goes_on else "")
