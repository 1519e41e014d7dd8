"""Running a Python file inside a Python process that already runs."""

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
from mlxtop.attach.process_info import permission_hint, python_of
from mlxtop.core.errors import MlxtopError

_REMOTE_EXEC = 2.0
"""Seconds to wait for `sys.remote_exec` before a debugger is tried too."""


class Way(NamedTuple):
    """A way of attaching: `remote_exec`, `gdb` or `lldb`."""

    name: str
    missing: str
    """Why it cannot be used, as a sentence; empty if it can."""


def ways() -> tuple[Way, ...]:
    """Returns all ways of attaching, in the order in which they are tried."""
    version = "" if hasattr(sys, "remote_exec") else "It needs Python 3.14 or newer."
    no_gdb = "mlxtop does not use gdb on macOS." if sys.platform == "darwin" else gdb.missing()
    return Way("remote_exec", version), Way("gdb", no_gdb), Way("lldb", lldb.missing())


def inject(
    pid: int, script: Path, wait: Callable[[], bool], timeout: float = 15.0, by: str | None = None
) -> None:
    """Makes process `pid` run the Python file `script`; returns as soon as `wait()` is true.

    The file runs in its own thread of the main interpreter, with new globals. Nothing is printed, and
    exceptions are ignored. The target's user must be able to read it. `timeout` is in seconds.
    With the same Python, 3.14 or newer, on both sides `sys.remote_exec` is used. Otherwise, or if that has
    no effect, the debuggers are tried in turn, as long as they leave the target unchanged.
    `by` names the only `Way` to try.

    Raises `MlxtopError`. The caller should then remove the file: a busy target may still run it later, and
    a missing file does no harm.
    """
    _check(pid)
    source = (
        "try:\n"
        f" with open({str(script)!a}, 'rb') as file: code = compile(file.read(), file.name, 'exec')\n"
        " exec(code, {'__name__': 'mlxtop_boot', '__file__': file.name})\n"
        "except: pass\n"
    )
    end = time.monotonic() + timeout
    allowed = [way for way in ways() if by in (None, way.name)]
    debuggers = [way for way in allowed if way.name != "remote_exec" and not way.missing]
    if len(debuggers) < len(allowed) and not allowed[0].missing and python_of(pid) == sys.version_info[:2]:
        if _by_remote_exec(
            pid, source, script.parent, wait, min(end, time.monotonic() + _REMOTE_EXEC), bool(debuggers)
        ):
            return
        if not debuggers:
            raise MlxtopError(_busy(pid, timeout))
    if not debuggers:
        raise MlxtopError(_no_debugger(allowed))
    name = _by_debugger(debuggers, pid, source, end)
    _until(lambda: wait() or not lives(pid), end)
    if not wait():
        if not lives(pid):
            raise MlxtopError(f"Could not attach to process {pid}: it ended after {name} had detached.")
        raise MlxtopError(_busy(pid, timeout))


def _by_debugger(debuggers: list[Way], pid: int, source: str, end: float) -> str:
    """Injects `source` into process `pid` with the first debugger that can. Returns the debugger's name."""
    *others, last = debuggers
    for way in others:
        try:
            _INJECT[way.name](pid, source, end)
        except Refusal:
            if time.monotonic() > end:
                raise
            continue
        return way.name
    _INJECT[last.name](pid, source, end)
    return last.name


_INJECT = {"gdb": lambda *what: gdb.inject(*what), "lldb": lambda *what: lldb.inject(*what)}


def _no_debugger(allowed: list[Way]) -> str:
    if len(allowed) == 1:
        return allowed[0].missing or "It needs the same version of Python on both sides: use gdb or lldb."
    if sys.platform == "darwin":
        return f"Attaching to this program needs lldb. {allowed[-1].missing}"
    return (
        "Attaching to this program needs gdb or lldb, and neither is installed: install the package `gdb`, "
        "or start the program with `mlxtop run`."
    )


def _check(pid: int) -> None:
    try:
        status = psutil.Process(pid).status()
    except psutil.Error:
        status = psutil.STATUS_ZOMBIE
    if status == psutil.STATUS_ZOMBIE:
        raise MlxtopError(f"Could not attach to process {pid}: it has ended.")
    if status in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP):
        raise MlxtopError(
            f"Could not attach to process {pid}: it is stopped; continue it (`kill -CONT {pid}` or `fg`), "
            "then attach again."
        )


def _by_remote_exec(
    pid: int, source: str, folder: Path, wait: Callable[[], bool], end: float, or_else: bool
) -> bool:
    """Returns whether the target ran `source` through PEP 768. `or_else`: another way can be tried."""
    launcher = (
        "try:\n import _thread, builtins, threading\n"
        f" _thread.start_new_thread(builtins.exec, ({source!a}, {{}}))\n"
        "except: pass\n"
    )
    # The target's user may have no access to root's folder for temporary files.
    handle, name = tempfile.mkstemp(prefix="mlxtop-", suffix=".py", dir=folder)
    path = Path(name)
    os.close(handle)
    path.write_text(launcher)
    # If we are root, the target may belong to another user.
    path.chmod(0o644)
    asked = False
    try:
        sys.remote_exec(pid, name)  # type: ignore[attr-defined, unused-ignore]
        asked = True
    except PermissionError:
        # macOS requires root, and reports every other failure like this too. lldb may work without root.
        if sys.platform == "darwin" and or_else:
            return False
        raise MlxtopError(
            f"Could not attach to process {pid}: the system does not permit it; {permission_hint()}."
        ) from None
    except ProcessLookupError:
        raise MlxtopError(f"Could not attach to process {pid}: it has ended.") from None
    except (OSError, RuntimeError):
        # Remote debugging is disabled or unreadable there. A debugger may still work.
        return False
    finally:
        if not asked:
            path.unlink()
    if _until(wait, end):
        path.unlink()
        return True
    # The target would report a missing file, so an empty one remains.
    os.truncate(path, 0)
    return wait()


def _until(wait: Callable[[], bool], end: float) -> bool:
    while not (done := wait()) and time.monotonic() < end:
        time.sleep(0.02)
    return done


def _busy(pid: int, timeout: float) -> str:
    return (
        f"Process {pid} has not reached a safe point within {timeout:g} s: it is in one long call; "
        "attach again when the call is over."
    )
