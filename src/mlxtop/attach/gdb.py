"""Attaching by gdb, on Linux. What gdb does in the target is in `gdb_script.py`.

gdb is a process of its own with a session of its own, so it finishes and lets the target go whatever becomes
of mlxtop.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from mlxtop.attach.debugger import Refusal, allowed, hidden, kept_out, read, status, still_lives
from mlxtop.core.errors import MlxtopError

_INSIDE = Path(__file__).with_name("gdb_script.py")


def missing() -> str:
    """Why there is no gdb here, as a sentence, or nothing."""
    return "" if shutil.which("gdb") else "There is no gdb here: install the package `gdb`."


def plant(pid: int, source: str, end: float) -> None:
    """Has process `pid` execute the Python text `source`, ASCII, in a new thread, at its next opportunity.

    `end` is a `time.monotonic()`: gdb begins nothing in the target after it.
    Raises `Refusal` when nothing was done, another `MlxtopError` for the rest.
    """
    allowed(pid)
    left = end - time.monotonic()
    environment = {
        **os.environ,
        "MLXTOP_PID": str(pid),
        "MLXTOP_SOURCE": source,
        "MLXTOP_UNTIL": str(time.time() + left),
        "LC_ALL": "C",
    }
    # A file takes what gdb says even when nobody is left to read it; a pipe would not.
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
        _judge(pid, read(output))


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
    if status(str(pid)).get("State", "").startswith(("T", "t")):
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
    called = "calling" in words
    still_lives(pid, "gdb", why or "gdb broke off", called)
    if "No such process" in why:
        raise MlxtopError(f"Process {pid} ended before mlxtop had come in.")
    if "not permitted" in why:
        raise kept_out(pid, "gdb")
    if "Python scripting is not supported" in said or "Scripting in the" in said:
        raise Refusal("This gdb was built without Python: install the full `gdb`, or use `mlxtop run`.")
    if 'No symbol "Py' in why:
        raise hidden(pid, "gdb")
    if not called and "floating-point registers" in why:
        raise Refusal(
            f"This gdb cannot call functions on this CPU, so nothing was done to process {pid}: "
            "install gdb 14 or newer, or lldb, or start the program with `mlxtop run`."
        )
    why = why or " ".join(said.split())[-200:] or "gdb said nothing"
    kind = MlxtopError if called else Refusal
    raise kind(f"gdb could not get into process {pid}: {why}; start the program with `mlxtop run`.")
