"""Runs inside gdb before ours: makes it a gdb that cannot write floating-point registers.

As gdb 13.1 on a CPU with AMX does: a call runs in the target, all registers up to the segments' go back, then
the write of the first floating-point register fails, so that `$orig_rax` stays -1. `WITHOUT` is a list of
what else is so: `probe`, the write of `$mxcsr` succeeds nevertheless; `ctypes`, gdb's Python has none.
"""

import os
import sys

import gdb  # type: ignore[import-not-found]

WITHOUT = os.environ["WITHOUT"].split()
ERROR = "Couldn't write extended state status: Bad address."
real_evaluate, real_execute = gdb.parse_and_eval, gdb.execute


def evaluate(expression, *rest):  # type: ignore[no-untyped-def]
    value = real_evaluate(expression, *rest)
    if "(*)(" in expression:
        real_execute("set var $orig_rax = -1")
        raise gdb.error(ERROR)
    return value


def execute(command, *rest, **more):  # type: ignore[no-untyped-def]
    if command.startswith("set var $mxcsr"):
        if "probe" not in WITHOUT:
            raise gdb.error(ERROR)
        # Where the CPU has AMX the real write would fail.
        return None
    return real_execute(command, *rest, **more)


gdb.parse_and_eval, gdb.execute = evaluate, execute
if "ctypes" in WITHOUT:
    sys.modules["ctypes"] = None  # type: ignore[assignment]
