"""What attaching by gdb and by lldb have in common: what is refused, and what became of the target."""

import sys
import time
from pathlib import Path
from typing import IO

import psutil

from mlxtop.core.errors import MlxtopError

_CAP_SYS_PTRACE = 19
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_DIES_WITHIN = 0.5
"""Seconds that a program harmed by a call takes to end, as a rule."""


class Refusal(MlxtopError):
    """This way does not lead into the target. Nothing was done to it, and another way may be tried."""


def pending_line(source: str) -> str:
    """Python for a pending call, ASCII: a new thread that executes `source` with fresh globals.

    The target runs it in `__main__`: no name is set there, and none but `__import__` relied upon. `threading`
    takes the thread that imports it first for the main thread, so that has to be the main thread.
    """
    return (
        "try:\n __import__('threading')\n"
        f" __import__('_thread').start_new_thread(__import__('builtins').exec, ({source!a}, {{}}))\n"
        "except: pass\n"
    )


def allowed(pid: int) -> None:
    """Raises the sentence for what the kernel would refuse; what a container refuses shows when tried."""
    if sys.platform != "linux":
        return
    ours, theirs = status("self"), status(str(pid))
    if not theirs:
        raise MlxtopError(f"Process {pid} has ended.")
    if (tracer := theirs.get("TracerPid", "0")) != "0":
        raise MlxtopError(
            f"Process {pid} is being debugged by process {tracer}: attach again when that has let go of it."
        )
    if "shstk" in theirs.get("x86_Thread_features", ""):
        raise MlxtopError(
            f"Process {pid} has a shadow stack, so that a debugger's call would end it: "
            "start the program with `mlxtop run`."
        )
    if int(ours.get("CapEff", "0"), 16) >> _CAP_SYS_PTRACE & 1:
        return
    try:
        scope = int(_YAMA.read_text())
    except (OSError, ValueError):
        scope = 0
    if scope >= 3:
        raise MlxtopError("This system forbids attaching until it is restarted (Yama): use `mlxtop run`.")
    if scope:
        lower = ", allow it with `sudo sysctl kernel.yama.ptrace_scope=0`" if scope == 1 else ""
        raise MlxtopError(
            f"This system lets only root attach to process {pid} (Yama): attach as root{lower}, "
            "or start the program with `mlxtop run`."
        )


def status(pid: str) -> dict[str, str]:
    """proc_pid_status(5), empty for a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def lives(pid: int) -> bool:
    """Whether process `pid` is there and has not ended."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.Error:
        return False


def still_lives(pid: int, debugger: str, why: str, called: bool) -> None:
    """Raises the sentence for a target that has ended. `called`: a call into it was begun, and failed."""
    end = time.monotonic() + (_DIES_WITHIN if called else 0)
    while alive := lives(pid):
        if time.monotonic() >= end:
            return
        time.sleep(0.02)
    if not alive and called:
        raise MlxtopError(
            f"Process {pid} ended during the attempt to attach by {debugger}, "
            f"and the attempt may have ended it ({why}): start it again with `mlxtop run`."
        )
    raise MlxtopError(f"Process {pid} ended before mlxtop had come in.")


def kept_out(pid: int, debugger: str) -> Refusal:
    """For a system that does not let a debugger trace."""
    return Refusal(
        f"The system does not let {debugger} into process {pid} (a container without SYS_PTRACE, or a "
        "security policy): attach from outside it as root, or start the program with `mlxtop run`."
    )


def hidden(pid: int, debugger: str) -> Refusal:
    """For a Python whose C API has no symbols."""
    return Refusal(
        f"Process {pid} hides Python's functions from {debugger}: start the program with `mlxtop run`."
    )


def read(output: IO[str]) -> str:
    """What a debugger has written to a file so far, without moving its place in it."""
    output.flush()
    with open(output.name, errors="replace") as file:
        return file.read(1 << 16)
