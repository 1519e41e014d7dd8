"""The exception that no code of the program's caught, read when the interpreter ends."""

import os
import sys
from types import TracebackType

TEXT = 1_000
"""Characters that are kept."""
DEEPEST = 100_000
"""Frames of a traceback to walk at most."""
PLAIN = (str, int, float, bool, type(None))


def read() -> dict[str, str]:
    """`error`, as the last line of its traceback, and `where` it was raised; empty without one.

    Python keeps it in `sys.last_value` when it prints it. Runs no code of the program's.
    """
    error = getattr(sys, "last_value", None)
    # At an interactive prompt the program goes on after an error.
    if not isinstance(error, BaseException) or hasattr(sys, "ps1"):
        return {}
    found = {"error": _describe(error)[:TEXT]}
    if error.__traceback__ is not None:
        found["where"] = _place(error.__traceback__)[:TEXT]
    return found


def _describe(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    # A class of the program's may have a `__str__` of its own, and so may what it was made of.
    if not all(type(argument) in PLAIN for argument in error.args):
        return name
    text = next(base for base in kind.__mro__ if base.__module__ == "builtins").__str__(error)  # type: ignore[call-arg]
    return f"{name}: {text}" if text else name


def _place(trace: TracebackType) -> str:
    for _ in range(DEEPEST):
        if trace.tb_next is None:
            break
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return f"{os.path.basename(code.co_filename)}:{trace.tb_lineno} {code.co_name}()"
