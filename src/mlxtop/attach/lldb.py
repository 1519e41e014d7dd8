"""Attaching with lldb: on macOS, and on Linux where gdb is missing or fails.

lldb may be installed without its Python (Debian's then reports `lldb.embedded_interpreter`), so it gets
commands instead of a script. In batch mode it stops at the first command that fails, detaches, and exits
with 1. It only adds a pending call: the program's main thread runs it between two bytecodes.
"""

import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

from mlxtop.attach.debugger import (
    Refusal,
    check_alive,
    check_allowed,
    no_symbols,
    not_permitted,
    pending_line,
    read,
)
from mlxtop.core.errors import MlxtopError

_NO_TOOLS = (
    "The Command Line Tools, which contain lldb, are not installed: run `xcode-select --install`, "
    "or start the program with `mlxtop run`."
)
_LONGEST_CALL = 3_000_000
"""Microseconds that lldb waits for a call before it restores the registers."""


def missing() -> str:
    """Returns why lldb cannot be used, as a sentence; empty if it can."""
    found = shutil.which("lldb")
    if found is None:
        how = "run `xcode-select --install`" if sys.platform == "darwin" else "install the package `lldb`"
        return f"lldb is not installed: {how}."
    if sys.platform == "darwin" and found == "/usr/bin/lldb":
        # Without the tools it is only a stub, which opens a window when it is run.
        try:
            done = subprocess.run(
                ["xcode-select", "-p"], stdin=subprocess.DEVNULL, capture_output=True, timeout=5
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return _NO_TOOLS if done.returncode else ""
    return ""


def inject(pid: int, source: str, end: float) -> None:
    """Makes process `pid` execute the Python code `source` (ASCII) in a new thread, as soon as it can.

    Raises `Refusal` if the target is unchanged, otherwise `MlxtopError`.
    """
    check_allowed(pid)
    words = [word for step in steps(pending_line(source)) for word in ("-o", step)]
    # A file, not a pipe: lldb can write to it even after mlxtop has ended.
    with tempfile.NamedTemporaryFile("w+") as output:
        lldb = subprocess.Popen(
            ["lldb", "--no-lldbinit", "--no-use-colors", "--batch", "-p", str(pid), *words],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            code = lldb.wait(max(end - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            # It is not killed: that would leave the target stopped.
            raise MlxtopError(
                f"Could not attach to process {pid} yet: lldb (process {lldb.pid}) takes long and detaches "
                "by itself; attach again after that, or start the program with `mlxtop run`."
            ) from None
        _check_result(pid, read(output), code)


def steps(line: str) -> tuple[str, ...]:
    """Returns lldb's commands that add the Python code `line` as a pending call.

    A function's address must be stored in a variable of type `void *` before it can be an argument.
    """
    call, size = f"expr --timeout {_LONGEST_CALL} -- ", len(line) + 1
    private = "0x1002" if sys.platform == "darwin" else "0x22"
    flip = "register write mxcsr `$mxcsr ^ 0x20`"
    # Before the first call: a register that cannot be written could not be restored after it.
    probe = (flip, flip) if sys.platform == "linux" and platform.machine() == "x86_64" else ()
    return (
        *probe,
        # PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS.
        call + "void *$page = (void *)((void *(*)(void *, unsigned long, int, int, int, long))mmap)"
        f"((void *)0, {size}, 3, {private}, -1, 0)",
        # For ASCII, JSON's escapes are C's. lldb frees its own copy of the text, so it is copied.
        call + "(void)((void *(*)(void *, const void *, unsigned long))memcpy)"
        f"($page, {json.dumps(line)}, {size})",
        call + "void *$run = (void *)PyRun_SimpleString",
        call + "((int (*)(void *, void *))Py_AddPendingCall)($run, $page)",
        "detach",
    )


def _check_result(pid: int, output: str, code: int) -> None:
    """Raises the error that lldb's output reports; nothing if the code was injected."""
    result = re.search(r"^\(int\) \$\d+ = (-?\d+)", output, re.MULTILINE)
    if code == 0 and result is not None and result[1] == "0":
        return
    errors = re.findall(r"^error: *(.*)", output, re.MULTILINE)
    why = " ".join(" ".join(errors).split())[:200] or f"it ended with {code}"
    called = "(lldb) expr" in output
    failed = f"Could not attach to process {pid}:"
    if "No developer tools were found" in output or "xcrun: error" in output:
        raise Refusal(_NO_TOOLS)
    check_alive(pid, "lldb", why, called)
    if "Not allowed to attach" in output:
        raise Refusal(
            f"{failed} macOS does not permit lldb to do that (its Python is signed against debugging, or "
            "developer mode is off: `sudo DevToolsSecurity -enable`); start the program with `mlxtop run`."
        )
    if "not permitted" in output:
        raise not_permitted(pid, "lldb")
    if re.search(r"undeclared identifier '(Py\w+)'|[Cc]ouldn't .*\bPy[A-Z]\w+", output):
        raise no_symbols(pid, "lldb")
    if code == 0 and result is not None:
        raise MlxtopError(f"{failed} its queue of pending calls is full; attach again in a moment.")
    kind = MlxtopError if called else Refusal
    raise kind(f"{failed} lldb reported: {why}; start the program with `mlxtop run`.")
