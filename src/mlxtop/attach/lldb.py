"""Attaching by lldb: on macOS, and on Linux where gdb is missing or does not get in.

lldb may come without its Python (Debian's then complains about `lldb.embedded_interpreter`), so it is given
commands. In batch mode it stops at the first that fails, lets go of the target, and exits with 1.
Only a pending call is left: the program's main thread comes to it between two bytecodes.
"""

import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

from mlxtop.attach.debugger import Refusal, allowed, hidden, kept_out, pending_line, read, still_lives
from mlxtop.core.errors import MlxtopError

_NO_TOOLS = (
    "The Command Line Tools, which bring lldb, are not installed: run `xcode-select --install`, "
    "or start the program with `mlxtop run`."
)
_LONGEST_CALL = 3_000_000
"""Microseconds that lldb waits for a call, then it puts the registers back."""


def missing() -> str:
    """Why there is no lldb here, as a sentence, or nothing."""
    found = shutil.which("lldb")
    if found is None:
        how = "run `xcode-select --install`" if sys.platform == "darwin" else "install the package `lldb`"
        return f"There is no lldb here: {how}."
    if sys.platform == "darwin" and found == "/usr/bin/lldb":
        # Without the tools it is only a shim, which opens a window when it is run.
        try:
            done = subprocess.run(
                ["xcode-select", "-p"], stdin=subprocess.DEVNULL, capture_output=True, timeout=5
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return _NO_TOOLS if done.returncode else ""
    return ""


def plant(pid: int, source: str, end: float) -> None:
    """Has process `pid` execute the Python text `source`, ASCII, in a new thread, at its next opportunity.

    Raises `Refusal` when nothing was done, another `MlxtopError` for the rest.
    """
    allowed(pid)
    words = [word for step in steps(pending_line(source)) for word in ("-o", step)]
    # A file takes what lldb says even when nobody is left to read it; a pipe would not.
    with tempfile.NamedTemporaryFile("w+") as output:
        lldb = subprocess.Popen(
            ["lldb", "--no-lldbinit", "--no-use-colors", "--batch", "-p", str(pid), *words],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            code = lldb.wait(max(end - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            # Killed, it would leave the target stopped.
            raise MlxtopError(
                f"lldb (process {lldb.pid}) takes long to look at process {pid} and then lets go by itself: "
                "attach again when it has, or start the program with `mlxtop run`."
            ) from None
        _judge(pid, read(output), code)


def steps(line: str) -> tuple[str, ...]:
    """lldb's commands that leave the Python text `line` as a pending call.

    A function's address has to be in a variable of type `void *` before it can be an argument.
    """
    call, size = f"expr --timeout {_LONGEST_CALL} -- ", len(line) + 1
    private = "0x1002" if sys.platform == "darwin" else "0x22"
    flip = "register write mxcsr `$mxcsr ^ 0x20`"
    # Before the first call: what cannot be written could not be put back after it.
    probe = (flip, flip) if sys.platform == "linux" and platform.machine() == "x86_64" else ()
    return (
        *probe,
        # PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS.
        call + "void *$page = (void *)((void *(*)(void *, unsigned long, int, int, int, long))mmap)"
        f"((void *)0, {size}, 3, {private}, -1, 0)",
        # JSON's escapes are C's, for ASCII. lldb takes its own copy of the text away with it.
        call + "(void)((void *(*)(void *, const void *, unsigned long))memcpy)"
        f"($page, {json.dumps(line)}, {size})",
        call + "void *$run = (void *)PyRun_SimpleString",
        call + "((int (*)(void *, void *))Py_AddPendingCall)($run, $page)",
        "detach",
    )


def _judge(pid: int, said: str, code: int) -> None:
    """Raises the sentence for what lldb reported, if it did not get the line in."""
    result = re.search(r"^\(int\) \$\d+ = (-?\d+)", said, re.MULTILINE)
    if code == 0 and result is not None and result[1] == "0":
        return
    errors = re.findall(r"^error: *(.*)", said, re.MULTILINE)
    why = " ".join(" ".join(errors).split())[:200] or f"it ended with {code}"
    called = "(lldb) expr" in said
    if "No developer tools were found" in said or "xcrun: error" in said:
        raise Refusal(_NO_TOOLS)
    still_lives(pid, "lldb", why, called)
    if "Not allowed to attach" in said:
        raise Refusal(
            f"macOS does not let lldb into process {pid} (its Python is signed so that nobody may "
            "debug it, or developer mode is off: `sudo DevToolsSecurity -enable`): start the program "
            "with `mlxtop run`."
        )
    if "not permitted" in said:
        raise kept_out(pid, "lldb")
    if re.search(r"undeclared identifier '(Py\w+)'|[Cc]ouldn't .*\bPy[A-Z]\w+", said):
        raise hidden(pid, "lldb")
    if code == 0 and result is not None:
        raise MlxtopError(f"The queue of pending calls of process {pid} is full: attach again in a moment.")
    kind = MlxtopError if called else Refusal
    raise kind(f"lldb could not get into process {pid} ({why}): start the program with `mlxtop run`.")
