"""Getting one line run inside another process with a debugger: gdb on Linux, lldb on macOS.

What gdb does there is in `in_gdb.py`. It is a process of its own with a session of its own, so it finishes
and lets the target go whatever becomes of mlxtop. macOS: written to lldb's documented interface, never run.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, NoReturn

from mlxtop.core.errors import MlxtopError

_CAP_SYS_PTRACE = 19
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_INSIDE = Path(__file__).with_name("in_gdb.py")


def missing() -> str | None:
    """Why no debugger can be used here, as a sentence, or `None`."""
    if sys.platform == "darwin":
        name, how = "lldb", "`xcode-select --install` brings it"
    else:
        name, how = "gdb", "install the package `gdb`"
    if shutil.which(name):
        return None
    return f"Attaching to this program needs {name}, which is not here: {how}, or start it with `mlxtop run`."


def plant(pid: int, source: str, end: float) -> None:
    """Has process `pid` execute the Python text `source`, ASCII, in a new thread, at its next opportunity.

    `end` is a `time.monotonic()`: the debugger begins nothing in the target after it. Raises `MlxtopError`.
    """
    if why := missing():
        raise MlxtopError(why)
    if sys.platform == "darwin":
        _lldb(pid, source, end)
    else:
        _allowed(pid)
        _gdb(pid, source, end)


def _allowed(pid: int) -> None:
    """Raises the sentence for what the kernel would refuse; what a container refuses shows when gdb tries."""
    ours, theirs = _status("self"), _status(str(pid))
    if not theirs:
        raise MlxtopError(f"Process {pid} has ended.")
    if (tracer := theirs.get("TracerPid", "0")) != "0":
        raise MlxtopError(
            f"Process {pid} is being debugged by process {tracer}: attach again when that has let go of it."
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


def _status(pid: str) -> dict[str, str]:
    """proc_pid_status(5), empty for a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _gdb(pid: int, source: str, end: float) -> None:
    left = end - time.monotonic()
    environment = {
        **os.environ,
        "MLXTOP_PID": str(pid),
        "MLXTOP_SOURCE": source,
        "MLXTOP_UNTIL": str(time.time() + left),
        "LC_ALL": "C",
    }
    # A file takes what gdb says even when nobody is left to read it; a pipe would not.
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        command = ["gdb", "-nx", "-batch", "-x", str(_INSIDE)]
        gdb = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            gdb.wait(left)
        except subprocess.TimeoutExpired:
            _give_up(pid, gdb, _read(output))
        _judge(pid, _read(output))


def _read(output: IO[str]) -> str:
    # gdb writes at the place where we read, so go by position without moving it.
    return os.pread(output.fileno(), 1 << 16, 0).decode(errors="replace")


def _give_up(pid: int, gdb: subprocess.Popen[bytes], said: str) -> NoReturn:
    """gdb took too long. Raises the sentence for it; stops gdb where that is safe.

    Inside a call it is not: the target would go on in the middle of it. There gdb only waits for the target
    to give up the GIL, and lets go of it by itself.
    """
    if "mlxtop: calling" in said:
        raise MlxtopError(
            f"Process {pid} is in one long call that lets no other Python run: gdb (process {gdb.pid}) "
            "waits for it and then lets go; attach again when that is over."
        )
    gdb.terminate()
    try:
        gdb.wait(2)
    except subprocess.TimeoutExpired:
        gdb.kill()
        gdb.wait()
    # A tracer that is killed while it attaches can leave its stop behind. The target was not stopped before.
    if _status(str(pid)).get("State", "").startswith(("T", "t")):
        os.kill(pid, signal.SIGCONT)
    raise MlxtopError(
        f"gdb took too long to look at process {pid}: try again, or start the program with `mlxtop run`."
    )


def _judge(pid: int, said: str) -> None:
    """Raises the sentence for what gdb reported, if it did not get the line in."""
    words = [line.removeprefix("mlxtop: ") for line in said.splitlines() if line.startswith("mlxtop: ")]
    if "pending" in words or "started" in words:
        return
    why = next((word.removeprefix("failed ") for word in words if word.startswith("failed ")), "")
    if (
        not _status(str(pid))
        or _status(str(pid)).get("State", "").startswith(("Z", "X"))
        or "No such process" in why
    ):
        raise MlxtopError(f"Process {pid} ended before mlxtop had come in.")
    if "not permitted" in why:
        raise MlxtopError(
            f"The system does not let gdb into process {pid} (a container without SYS_PTRACE, or a "
            "security policy): attach from outside it as root, or start the program with `mlxtop run`."
        )
    if "Python scripting is not supported" in said or "Scripting in the" in said:
        raise MlxtopError("This gdb was built without Python: install the full `gdb`, or use `mlxtop run`.")
    if 'No symbol "Py' in why:
        raise MlxtopError(
            f"Process {pid} hides Python's functions from gdb: start the program with `mlxtop run`."
        )
    why = why or " ".join(said.split())[-200:] or "gdb said nothing"
    raise MlxtopError(f"gdb could not get into process {pid}: {why}; start the program with `mlxtop run`.")


def _lldb(pid: int, source: str, end: float) -> None:
    """Never run. One expression: Py_AddPendingCall of the line, in memory that mmap gives."""
    line = (
        "try:\n __import__('threading')\n"
        f" __import__('_thread').start_new_thread(__import__('builtins').exec, ({source!a}, {{}}))\n"
        "except: pass\n"
    )
    size = len(line) + 1
    steps = (
        # PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON as macOS numbers them.
        "expr char *$page = (char *)((void *(*)(void *, unsigned long, int, int, int, long long))mmap)"
        f"((void *)0, {size}, 3, 0x1002, -1, 0)",
        # JSON's escapes are C's, for ASCII. lldb takes its own copy of the text away with it.
        "expr (void)((void *(*)(void *, const void *, unsigned long))memcpy)"
        f"($page, {json.dumps(line)}, {size})",
        "expr ((int (*)(void *, void *))Py_AddPendingCall)((void *)PyRun_SimpleString, $page)",
        "detach",
    )
    command = [
        "lldb",
        "--no-lldbinit",
        "--batch",
        "-p",
        str(pid),
        *(word for step in steps for word in ("-o", step)),
    ]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=end - time.monotonic(), start_new_session=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise MlxtopError(f"lldb took too long to look at process {pid}: use `mlxtop run`.") from None
    if "error:" in done.stderr or "error:" in done.stdout:
        why = " ".join((done.stdout + done.stderr).partition("error:")[2].split())[:200]
        raise MlxtopError(
            f"lldb could not get into process {pid} ({why}): let this terminal debug with "
            "`sudo DevToolsSecurity -enable`, or start the program with `mlxtop run`."
        )
