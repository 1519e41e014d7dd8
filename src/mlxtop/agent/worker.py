"""The name of a worker process, as the program itself has named it."""

import sys

MAIN = "MainProcess"
"""The name of a process that `multiprocessing` did not start."""


def name() -> str | None:
    """The name of a process that `multiprocessing` started; `None` for any other.

    Imports nothing: the process is asked only if it has loaded `multiprocessing` itself.
    """
    module = sys.modules.get("multiprocessing.process")
    try:
        found = module.current_process().name  # type: ignore[union-attr]  # without it an error says so
    except Exception:
        # It is being imported just now, or the program has a class of its own with another idea of a name.
        return None
    return found if type(found) is str and found != MAIN else None
