"""Attaching with gdb, on Linux. What gdb does in the target is in `gdb_script.py`.

gdb runs as a process in its own session, so it finishes and detaches even if mlxtop ends.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from mlxtop.attach.debugger import (
    Refusal,
    check_alive,
    check_allowed,
    no_symbols,
    not_permitted,
    read,
    status,
)
from mlxtop.core.errors import MlxtopError

_INSIDE = Path(__file__).with_name("gdb_script.py")


def missing() -> str:
    """Returns why gdb cannot be used, as a sentence; empty if it can."""
    return "" if shutil.which("gdb") else "gdb is not installed: install the package `gdb`."


def inject(pid: int, source: str, end: float) -> None:
    """Makes process `pid` execute the Python code `source` (ASCII) in a new thread, as soon as it can.

    gdb starts nothing in the target after `end`, a time of `time.monotonic()`.
    Raises `Refusal` if the target is unchanged, otherwise `MlxtopError`.
    """
    check_allowed(pid)
    left = end - time.monotonic()
    environment = {
        **os.environ,
        "MLXTOP_PID": str(pid),
        "MLXTOP_SOURCE": source,
        "MLXTOP_UNTIL": str(time.time() + left),
        "LC_ALL": "C",
    }
    # A file, not a pipe: gdb can write to it even after mlxtop has ended.
    with tempfile.NamedTemporaryFile("w+") as output:
        command = ["gdb", "-nx", "-batch", "-x", str(_INSIDE)]
        gdb = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            gdb.wait(left)
        except subprocess.TimeoutExpired:
            _give_up(pid, gdb, read(output))
        _check_result(pid, read(output))


def _give_up(pid: int, gdb: subprocess.Popen[bytes], output: str) -> NoReturn:
    """Raises the error for a gdb that took too long, and stops gdb if that is safe.

    It is not safe during a call: the target would continue in the middle of it. gdb then waits for the
    target to release the GIL, and detaches by itself.
    """
    if "mlxtop: calling" in output:
        raise MlxtopError(
            f"Process {pid} has not reached a safe point yet: it is in one long call, and gdb (process "
            f"{gdb.pid}) detaches when the call returns; attach again after that."
        )
    gdb.terminate()
    try:
        gdb.wait(2)
    except subprocess.TimeoutExpired:
        gdb.kill()
        gdb.wait()
    # A tracer that is killed while it attaches may leave the target stopped. It was running before.
    if status(str(pid)).get("State", "").startswith(("T", "t")):
        os.kill(pid, signal.SIGCONT)
    raise MlxtopError(
        f"Could not attach to process {pid}: gdb took too long; try again, or start the program with "
        "`mlxtop run`."
    )


def _check_result(pid: int, output: str) -> None:
    """Raises the error that gdb's output reports; nothing if the code was injected."""
    words = [line.removeprefix("mlxtop: ") for line in output.splitlines() if line.startswith("mlxtop: ")]
    if "pending" in words or "started" in words:
        return
    why = next((word.removeprefix("failed ") for word in words if word.startswith("failed ")), "")
    called = "calling" in words
    check_alive(pid, "gdb", why or "gdb ended early", called)
    failed = f"Could not attach to process {pid}:"
    if "No such process" in why:
        raise MlxtopError(f"{failed} it has ended.")
    if "not permitted" in why:
        raise not_permitted(pid, "gdb")
    if "Python scripting is not supported" in output or "Scripting in the" in output:
        raise Refusal(
            f"{failed} this gdb was built without Python; install the full `gdb`, "
            "or start the program with `mlxtop run`."
        )
    if 'No symbol "Py' in why:
        raise no_symbols(pid, "gdb")
    if not called and "floating-point registers" in why:
        raise Refusal(
            f"{failed} this gdb cannot call functions on this CPU; install gdb 14 or newer, or lldb, "
            "or start the program with `mlxtop run`."
        )
    why = why or " ".join(output.split())[-200:] or "gdb printed nothing"
    kind = MlxtopError if called else Refusal
    raise kind(f"{failed} gdb reported: {why}; start the program with `mlxtop run`.")
