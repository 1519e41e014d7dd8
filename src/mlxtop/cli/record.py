"""`--record FILE`: recording for every command that shows a live session."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mlxtop.cli.hard_exit import tell

if TYPE_CHECKING:
    from mlxtop.recording.recorder import Recorder
    from mlxtop.sessions.followed import FollowedSession
    from mlxtop.sessions.local import LocalSession
    from mlxtop.sessions.remote import RemoteSession


def recorder(file: Path | None, text: bool) -> "Recorder | None":
    """A started recorder; `None` without a file. Raises `RecordingError` when the file cannot be created."""
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
    """Records one of the watched programs."""
    label = session.label if session.rank is not None else session.worker or session.label
    about = {"pid": session.pid if session.pid > 0 else None, "rank": session.rank, "label": label}
    session.subscribe(recorder.add(session, session.command, started=session.started, **about))


def record_followed(recorder: "Recorder", session: "FollowedSession") -> None:
    """Records one of the programs whose output is followed."""
    session.subscribe(recorder.add(session, session.command, started=session.started, label=session.label))


def end_recording(recorder: "Recorder | None", cause: str) -> None:
    """Ends a recording with the reason `cause`, and prints an error if it is incomplete."""
    if recorder is None:
        return
    recorder.stop(cause=cause)
    if recorder.failure is not None:
        tell(recorder.failure)


def cause(code: int, goes_on: bool = False) -> str:
    """Why a recording ends, from mlxtop's exit code. `goes_on`: the program keeps running."""
    if code - 128 in list(signal.Signals):
        text = f"{'mlxtop was ' if goes_on else ''}ended by {signal.Signals(code - 128).name}"
    else:
        text = "mlxtop was closed" if code == 0 else "mlxtop failed"
    return text + (", the program is still running" if goes_on else "")
