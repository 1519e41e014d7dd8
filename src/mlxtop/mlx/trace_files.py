"""Where traces go that nobody gave a file: a folder of this user's, from which old ones are removed.

Plain `os` instead of `pathlib`: this is read in watched programs.
"""

import os
import sys
import tempfile
import time
from contextlib import suppress

from mlxtop.core.parsing import whole

SUFFIX = ".mlxtrace"
KEPT = 20
"""Traces that are kept, the newest ones: each is up to 64 MiB."""


def folder() -> str:
    """This user's folder for traces: where mlxtop keeps what it writes unasked."""
    home = os.path.expanduser("~")
    if sys.platform == "darwin":
        return f"{home}/Library/Application Support/mlxtop/traces"
    state = os.environ.get("XDG_STATE_HOME", "").strip() or f"{home}/.local/state"
    return f"{state}/mlxtop/traces"


def new() -> str:
    """A path for a trace of this process that begins now. Raises `OSError` when there is no place for it.

    In a program whose home cannot be written it is in a new folder among the temporary files.
    """
    place = folder()
    try:
        os.makedirs(place, 0o700, exist_ok=True)
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError
        _remove_old(place)
    except OSError:
        place = tempfile.mkdtemp(prefix="mlxtop-")
    return f"{place}/{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}{SUFFIX}"


def own(path: str) -> str:
    """`path`, or where another process has taken it: with this one's number in the name."""
    return numbered(path) if exists(path) else path


def exists(path: str) -> bool:
    """Whether there is a file."""
    return os.path.lexists(path)


def numbered(path: str) -> str:
    """`path` with the number of this process in its name, and no file there."""
    stem, end = os.path.splitext(path)
    found = f"{stem}-{os.getpid()}{end}"
    with suppress(FileNotFoundError):
        # Left by a process that had this number before.
        os.unlink(found)
    return found


def _remove_old(place: str) -> None:
    """Removes all but the newest traces. One that is being written stays."""
    # The names begin with the date.
    for name in sorted((name for name in os.listdir(place) if name.endswith(SUFFIX)), reverse=True)[
        KEPT - 1 :
    ]:
        pid = whole(name.removesuffix(SUFFIX).rpartition("-")[2])
        if pid is not None and not _lives(pid):
            with suppress(OSError):
                os.unlink(f"{place}/{name}")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True
