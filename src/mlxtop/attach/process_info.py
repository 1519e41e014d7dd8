"""Information on another process from outside: its user, its Python version, whether it uses MLX.

Linux: /proc. macOS: the mapped files that `lsof` lists; written from its documentation, never run on a Mac.
"""

import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from mlxtop.core.errors import UsageError
from mlxtop.core.facts import words

_MLX = re.compile(r"/libmlx\.(so|dylib)|/mlx/core\.[^/]*so\b")
# Surest first: the interpreter's library, its own extension modules, any extension module, the executable.
_PYTHON = (
    re.compile(r"/libpython3\.(\d+)|/Python\.framework/Versions/3\.(\d+)/"),
    re.compile(r"/python3\.(\d+)t?/lib-dynload/"),
    re.compile(r"\.cpython-3(\d+)t?-"),
    re.compile(r"/python3\.(\d+)t?$"),
)


_LSOF_WITHIN = 5.0
"""Seconds to wait for lsof. For all processes of a user it takes about one."""


@dataclass(frozen=True)
class Target:
    """A process that mlxtop can attach to. `python` is its version, such as (3, 11)."""

    pid: int
    command: str
    user: str
    uid: int
    python: tuple[int, int] | None
    mlx: bool


def read(pid: int) -> Target:
    """Returns information on process `pid`, a Python process with MLX.

    Raises `UsageError` if there is no such process, it belongs to another user, or it is not Python with MLX.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            raise psutil.NoSuchProcess(pid)
        user, command = process.username(), " ".join(process.cmdline()) or process.name()
        uid = process.uids().effective
        if os.geteuid() not in (0, uid):
            raise UsageError(f"Process {pid} belongs to {user}: attach as that user, or as root.")
        files = _mapped(pid)
    except TimeoutError as error:
        raise UsageError(f"Could not inspect process {pid}: {error}; try again.") from error
    except (psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError, OverflowError, ValueError):
        raise UsageError(f"There is no process {pid}: `mlxtop ps` lists those that use MLX.") from None
    except (psutil.AccessDenied, PermissionError):
        raise UsageError(
            f"Could not inspect process {pid}: the system does not permit it; {permission_hint()}."
        ) from None
    python, mlx = _python_in(files), any(map(_MLX.search, files))
    if python is None:
        raise UsageError(
            f"Process {pid} ({_short(command)}) is not a Python program: there is nothing to attach to."
        )
    if not mlx:
        raise UsageError(
            f"Process {pid} ({_short(command)}) has not imported MLX: attach once it has, "
            "or start it with `mlxtop run`."
        )
    return Target(pid, command, user, uid, python, mlx)


def permission_hint() -> str:
    """Returns what to do when the system denies access to a process. Root has fewer options."""
    if os.geteuid() == 0:
        return "start the program with `mlxtop run`"
    return "attach as root, or start the program with `mlxtop run`"


def everyone(but: Collection[int] = ()) -> list[int]:
    """Returns the pids of this user's processes that have MLX mapped, except those in `but`, in rising order.

    Processes that end meanwhile or cannot be read are left out. It takes 4 ms for 75 processes. Raises
    `OSError` if the system cannot list them.
    """
    if sys.platform == "darwin":
        return sorted(
            pid
            for pid, files in _listed("-u", str(os.geteuid())).items()
            if pid not in but and any(map(_MLX.search, files))
        )
    found, me = [], os.geteuid()
    with suppress(OSError), os.scandir("/proc") as entries:
        for entry in entries:
            try:
                pid = int(entry.name) if entry.name.isdigit() else 0
                if pid and pid not in but and entry.stat().st_uid == me and _MLX.search(_maps(pid)):
                    found.append(pid)
            except OSError:
                continue
    return sorted(found)


def sockets(pid: int) -> list[str]:
    """Returns the paths of the Unix sockets that process `pid` has open; empty if they cannot be read."""
    try:
        found = psutil.Process(pid).net_connections("unix")
    except (psutil.Error, OSError, RuntimeError):
        return []
    return sorted({path for path in (connection.laddr for connection in found) if path.startswith("/")})


def title(pid: int, argv: Sequence[str]) -> str | None:
    """Returns the title that process `pid` gave itself, as by setproctitle; `None` if it has none.

    `argv` is the command line it started with. The interpreter's own name is not compared: a Mac's Python
    replaces it.
    """
    try:
        now = psutil.Process(pid).cmdline()
    except (psutil.Error, OSError):
        return None
    kept = words(now)
    return " ".join(now).strip() or None if kept[1:] != tuple(argv)[1:] else None


def parent_of_worker(pid: int, argv: Sequence[str]) -> list[str] | None:
    """Returns the command line of the program that started process `pid` as a worker of `multiprocessing`;
    `None` if it is no such worker. `argv` is its own, which says nothing of it."""
    if not any(word.startswith("from multiprocessing.") for word in argv[:4]):
        return None
    try:
        parent = psutil.Process(pid).parent()
        return parent.cmdline() if parent is not None else None
    except (psutil.Error, OSError):
        return None


def python_of(pid: int) -> tuple[int, int] | None:
    """Returns the Python version of process `pid`; `None` if it is not Python or cannot be read."""
    try:
        return _python_in(_mapped(pid))
    except OSError:
        return None


def _python_in(files: Iterable[str]) -> tuple[int, int] | None:
    files = list(files)
    for pattern in _PYTHON:
        for found in filter(None, map(pattern.search, files)):
            return 3, int(next(filter(None, found.groups())))
    return None


def _mapped(pid: int) -> set[str]:
    """Returns the files that process `pid` has mapped. Raises `OSError` if they cannot be read."""
    if sys.platform == "darwin":
        return _listed("-p", str(pid)).get(pid, set())
    # proc_pid_maps(5): five columns, then the path, which may contain spaces.
    fields = (line.split(maxsplit=5) for line in _maps(pid).splitlines())
    return {field[5].removesuffix(" (deleted)") for field in fields if len(field) == 6}


def _maps(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text(errors="replace")


def _listed(*which: str) -> dict[int, set[str]]:
    """Returns the mapped files by pid, from lsof(8): a line `p…` with the pid, then lines `n…` with paths.

    Raises `OSError` if lsof is missing, `TimeoutError` if it does not answer: an unreachable network drive
    can block it for minutes.
    """
    command = ["lsof", "-w", "-a", "-F", "pn", "-d", "txt", *which]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LSOF_WITHIN,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"lsof did not answer within {_LSOF_WITHIN:g} s") from None
    files: dict[int, set[str]] = {}
    for line in done.stdout.splitlines():
        if line.startswith("p"):
            mapped = files.setdefault(int(line[1:]), set())
        elif line.startswith("n"):
            mapped.add(line[1:])
    return files


def _short(command: str) -> str:
    return command if len(command) <= 60 else command[:59] + "…"
