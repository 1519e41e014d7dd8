"""The name of a worker process, as the program itself has named it."""

import os
import sys

MAIN = "MainProcess"
"""The name of a process that `multiprocessing` did not start."""


def name() -> str | None:
    """The name of a process that `multiprocessing` started; `None` for any other.

    A name that the program did not choose has the program's added: `SpawnProcess-1 of serve.py`. Imports
    nothing: the process is asked only if it has loaded `multiprocessing` itself.
    """
    module = sys.modules.get("multiprocessing.process")
    try:
        found = module.current_process().name  # type: ignore[union-attr]  # without it an error says so
        if type(found) is not str or found == MAIN:
            return None
        return f"{found} of {_program()}" if _is_default(found) else found
    except Exception:
        # It is being imported just now, or the program has a class of its own with another idea of a name.
        return None


def _is_default(found: str) -> bool:
    """Whether `multiprocessing` made the name: `Process-1`, `SpawnPoolWorker-3`, `ForkProcess-2:1`."""
    kind, _, number = found.rpartition("-")
    return kind.endswith(("Process", "Worker")) and number.replace(":", "").isdecimal()


def _program() -> str:
    # A worker has the arguments of the program that started it.
    folder, script = os.path.split(sys.argv[0])
    return os.path.basename(folder) if script == "__main__.py" else script
