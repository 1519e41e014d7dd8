"""The log files for the output of programs under `mlxtop run`: creates them, and removes old ones."""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import platformdirs

KEPT = 50
"""Number of logs that are kept, the newest ones."""
DAYS = 30
"""Days after which a log is removed."""
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


def new(run: str) -> tuple[Path, int]:
    """Creates a log for the run `run`. Returns its path and a descriptor for writing. Removes old logs.

    If the user's log folder cannot be written, the log is in the folder for temporary files. Raises `OSError`
    if that cannot be written either.
    """
    folder = Path(platformdirs.user_log_path("mlxtop"))
    name = time.strftime(f"%Y%m%d-%H%M%S-{run}.log")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_old(folder)
        path, into = folder / name, os.open(folder / name, _FLAGS, 0o600)
    except OSError:
        handle, temporary = tempfile.mkstemp(prefix="mlxtop-", suffix=f"-{name}")
        os.close(handle)
        path, into = Path(temporary), os.open(temporary, _FLAGS)
    # The program inherits the lock with the descriptor: it lasts as long as a process can write the log.
    fcntl.flock(into, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return path, into


def _remove_old(folder: Path) -> None:
    logs = sorted(folder.glob("*.log"), reverse=True)  # the name begins with the date
    oldest = time.time() - DAYS * 86_400
    for path in _unwanted(logs, oldest):
        with suppress(OSError):
            _remove_unused(path)


def _unwanted(logs: list[Path], oldest: float) -> Iterable[Path]:
    for i, path in enumerate(logs):
        with suppress(OSError):
            if i >= KEPT - 1 or path.stat().st_mtime < oldest:
                yield path


def _remove_unused(path: Path) -> None:
    """Removes a log. Raises `OSError` if a program still writes it."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(fd)
