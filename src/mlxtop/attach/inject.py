"""Getting a file run inside a Python process that already runs."""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil

from mlxtop.attach import gdb, lldb
from mlxtop.attach.debugger import Refusal, lives
from mlxtop.attach.process_info import python_of, way_in
from mlxtop.core.errors import MlxtopError

_REMOTE_EXEC = 2.0
"""Seconds a target has to come by on its own before a debugger is tried as well."""


class Way(NamedTuple):
    """A way into a program that runs: `remote_exec`, `gdb` or `lldb`; and why it is not there, or nothing."""

    name: str
    missing: str


def ways() -> tuple[Way, ...]:
    """All ways there are, in the order in which they are tried."""
    version = "" if hasattr(sys, "remote_exec") else "It comes with Python 3.14."
    no_gdb = "gdb is not for macOS." if sys.platform == "darwin" else gdb.missing()
    return Way("remote_exec", version), Way("gdb", no_gdb), Way("lldb", lldb.missing())


def inject(
    pid: int, script: Path, wait: Callable[[], bool], timeout: float = 15.0, by: str | None = None
) -> None:
    """Has the main interpreter of process `pid` run the Python file `script`; returns once `wait()` is true.

    The file runs in a thread of its own, with fresh globals; nothing is printed, and its exceptions are
    swallowed. The target's user must be able to read it. `timeout` is in seconds.
    Python 3.14 and newer: `sys.remote_exec` from the same version of Python. Otherwise, and when that does
    not come through, a debugger; where one refuses with nothing done, the next.
    `by` names the only `Way` to try.

    Raises `MlxtopError`. After an error remove the file: a target that was busy may come to it later
    still, and a file that is not there does no harm.
    """
    _check(pid)
    source = (
        "try:\n"
        f" with open({str(script)!a}, 'rb') as file: code = compile(file.read(), file.name, 'exec')\n"
        " exec(code, {'__name__': 'mlxtop_boot', '__file__': file.name})\n"
        "except: pass\n"
    )
    end = time.monotonic() + timeout
    there = [way for way in ways() if by in (None, way.name)]
    debuggers = [way for way in there if way.name != "remote_exec" and not way.missing]
    if len(debuggers) < len(there) and not there[0].missing and python_of(pid) == sys.version_info[:2]:
        if _by_remote_exec(
            pid, source, script.parent, wait, min(end, time.monotonic() + _REMOTE_EXEC), bool(debuggers)
        ):
            return
        if not debuggers:
            raise MlxtopError(_busy(pid, timeout))
    if not debuggers:
        raise MlxtopError(_no_debugger(there))
    name = _plant(debuggers, pid, source, end)
    _until(lambda: wait() or not lives(pid), end)
    if not wait():
        if not lives(pid):
            raise MlxtopError(f"Process {pid} ended after {name} had been in it, before mlxtop had come in.")
        raise MlxtopError(_busy(pid, timeout))


def _plant(debuggers: list[Way], pid: int, source: str, end: float) -> str:
    """Leaves `source` in process `pid` by the first debugger that gets in: its name."""
    *others, last = debuggers
    for way in others:
        try:
            _PLANT[way.name](pid, source, end)
        except Refusal:
            if time.monotonic() > end:
                raise
            continue
        return way.name
    _PLANT[last.name](pid, source, end)
    return last.name


_PLANT = {"gdb": lambda *what: gdb.plant(*what), "lldb": lambda *what: lldb.plant(*what)}


def _no_debugger(there: list[Way]) -> str:
    if len(there) == 1:
        return there[0].missing or "Python lets in only the same version of Python: use gdb or lldb."
    if sys.platform == "darwin":
        return f"Attaching to this program needs lldb. {there[-1].missing}"
    return (
        "Attaching to this program needs gdb or lldb, and neither is here: install the package `gdb`, "
        "or start the program with `mlxtop run`."
    )


def _check(pid: int) -> None:
    try:
        status = psutil.Process(pid).status()
    except psutil.Error:
        status = psutil.STATUS_ZOMBIE
    if status == psutil.STATUS_ZOMBIE:
        raise MlxtopError(f"Process {pid} has ended.")
    if status in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP):
        raise MlxtopError(
            f"Process {pid} is stopped: let it go on (`kill -CONT {pid}` or `fg`), then attach again."
        )


def _by_remote_exec(
    pid: int, source: str, folder: Path, wait: Callable[[], bool], end: float, or_else: bool
) -> bool:
    """Whether the target came by and ran `source`, by PEP 768. `or_else`: there is another way."""
    launcher = (
        "try:\n import _thread, builtins, threading\n"
        f" _thread.start_new_thread(builtins.exec, ({source!a}, {{}}))\n"
        "except: pass\n"
    )
    # Root's own folder for temporary files may be closed to the target's user.
    handle, name = tempfile.mkstemp(prefix="mlxtop-", suffix=".py", dir=folder)
    path = Path(name)
    os.close(handle)
    path.write_text(launcher)
    # The target may be another user's, if we are root.
    path.chmod(0o644)
    asked = False
    try:
        sys.remote_exec(pid, name)  # type: ignore[attr-defined, unused-ignore]
        asked = True
    except PermissionError:
        # macOS needs root for it, and gives this for every other cause too; lldb may get in without.
        if sys.platform == "darwin" and or_else:
            return False
        raise MlxtopError(f"The system does not let us into process {pid}: {way_in()}.") from None
    except ProcessLookupError:
        raise MlxtopError(f"Process {pid} has ended.") from None
    except (OSError, RuntimeError):
        # Remote debugging is switched off there, or cannot be read: the debugger may still get in.
        return False
    finally:
        if not asked:
            path.unlink()
    if _until(wait, end):
        path.unlink()
        return True
    # The target would complain about a file that is gone, so an empty one stays for it.
    os.truncate(path, 0)
    return wait()


def _until(wait: Callable[[], bool], end: float) -> bool:
    while not (done := wait()) and time.monotonic() < end:
        time.sleep(0.02)
    return done


def _busy(pid: int, timeout: float) -> str:
    return (
        f"Process {pid} did not come back to Python within {timeout:g} s, "
        "it is in one long call: attach again when that is over."
    )
