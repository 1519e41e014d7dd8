"""What the benchmarks of watched programs share: a place of their own for sockets and logs, and `mlxtop run`
in a terminal of its own."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psutil

from benchmarks.measure import Terminal, subject

AGENT = ("env", "MLXTOP=1")
"""Before a command: it takes an agent in, and nobody watches."""
PLACES = ("XDG_RUNTIME_DIR", "XDG_STATE_HOME")


@contextmanager
def own_place() -> Iterator[None]:
    """Sockets and logs of all that starts meanwhile lie in a directory that is removed afterwards."""
    # A socket's path must be short.
    folder = tempfile.mkdtemp(prefix="mx", dir="/tmp")
    kept = {name: os.environ.get(name) for name in PLACES}
    os.environ.update(dict.fromkeys(PLACES, folder))
    try:
        yield
    finally:
        for name, value in kept.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


def viewer(*arguments: str) -> list[str]:
    """The command `mlxtop ARGUMENTS`, which may be stopped and let go like any subject."""
    return subject("viewer", *arguments)


class Run(Terminal):
    """`mlxtop run -- COMMAND` in a pseudo-terminal. The program ends with the viewer."""

    def __init__(self, command: Sequence[str], columns: int = 120, rows: int = 40) -> None:
        super().__init__(viewer("run", "--", *command), columns, rows)

    def __exit__(self, *error: object) -> None:
        family = self.process.children(recursive=True)
        super().__exit__(*error)
        for process in family:
            with suppress(psutil.Error):
                process.kill()
