"""The common part of attaching with gdb and with lldb: preconditions and error messages."""

import sys
import time
from pathlib import Path
from typing import IO

import psutil

from mlxtop.core.errors import MlxtopError

_CAP_SYS_PTRACE = 19
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_DIES_WITHIN = 0.5
"""Seconds within which a program that was damaged by a call usually ends."""


class Refusal(MlxtopError):
    """This way of attaching does not work. The target is unchanged, so another way may be tried."""


def pending_line(source: str) -> str:
    """Returns Python code for a pending call, in ASCII. It starts a thread that executes `source`.

    The target runs it in `__main__`, so it defines no names and uses only `__import__`. `threading` must be
    imported by the main thread, because it takes the first thread that imports it for the main thread.
    """
    return (
        "try:\n __import__('threading')\n"
        f" __import__('_thread').start_new_thread(__import__('builtins').exec, ({source!a}, {{}}))\n"
        "except: pass\n"
    )


def check_allowed(pid: int) -> None:
    """Raises `MlxtopError` if the kernel would refuse a debugger. A container's own rules show only later."""
    if sys.platform != "linux":
        return
    ours, theirs = status("self"), status(str(pid))
    failed = f"Could not attach to process {pid}:"
    if not theirs:
        raise MlxtopError(f"{failed} it has ended.")
    if (tracer := theirs.get("TracerPid", "0")) != "0":
        raise MlxtopError(f"{failed} it is debugged by process {tracer}; detach that debugger first.")
    if "shstk" in theirs.get("x86_Thread_features", ""):
        raise MlxtopError(
            f"{failed} it has a shadow stack, and a debugger's call would end it; "
            "start the program with `mlxtop run`."
        )
    if int(ours.get("CapEff", "0"), 16) >> _CAP_SYS_PTRACE & 1:
        return
    try:
        scope = int(_YAMA.read_text())
    except (OSError, ValueError):
        scope = 0
    if scope >= 3:
        raise MlxtopError(
            f"{failed} this system forbids it until it is restarted (Yama); "
            "start the program with `mlxtop run`."
        )
    if scope:
        lower = ", allow it with `sudo sysctl kernel.yama.ptrace_scope=0`" if scope == 1 else ""
        raise MlxtopError(
            f"{failed} this system lets only root do that (Yama); attach as root{lower}, "
            "or start the program with `mlxtop run`."
        )


def status(pid: str) -> dict[str, str]:
    """Returns the fields of proc_pid_status(5); empty for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def lives(pid: int) -> bool:
    """Returns whether process `pid` exists and is not a zombie."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.Error:
        return False


def check_alive(pid: int, debugger: str, why: str, called: bool) -> None:
    """Raises `MlxtopError` if the target has ended. `called`: a call in it was begun and failed."""
    end = time.monotonic() + (_DIES_WITHIN if called else 0)
    while alive := lives(pid):
        if time.monotonic() >= end:
            return
        time.sleep(0.02)
    if not alive and called:
        raise MlxtopError(
            f"Process {pid} ended while {debugger} attached to it, possibly because of that ({why}): "
            "start it again with `mlxtop run`."
        )
    raise MlxtopError(f"Could not attach to process {pid}: it has ended.")


def not_permitted(pid: int, debugger: str) -> Refusal:
    """Returns the error for a system that does not permit tracing."""
    return Refusal(
        f"Could not attach to process {pid}: the system does not permit {debugger} to trace it (a container "
        "without SYS_PTRACE, or a security policy); attach from outside as root, or start the program with "
        "`mlxtop run`."
    )


def no_symbols(pid: int, debugger: str) -> Refusal:
    """Returns the error for a Python whose C API has no symbols."""
    return Refusal(
        f"Could not attach to process {pid}: {debugger} does not find Python's C functions in it; "
        "start the program with `mlxtop run`."
    )


def read(output: IO[str]) -> str:
    """Returns what a debugger has written to a file so far. The file position does not change."""
    output.flush()
    with open(output.name, errors="replace") as file:
        return file.read(1 << 16)
