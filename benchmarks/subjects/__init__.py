"""The programs that are measured, each run in a process of its own.

A subject tells its benchmark what it found by `tell`, and stands still between its turns by `rest`: two
subjects then take turns on one machine, warmed up and a second apart, without being in each other's way.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, TextIO

MAILBOX = "MLXTOP_BENCHMARK_MAILBOX"
PROMPT = "A buffer that nobody needs any more is not given back. It waits in the cache for the next array."


@cache
def _mailbox() -> TextIO:
    return open(os.environ[MAILBOX], "w", buffering=1, encoding="utf-8")  # noqa: PTH123 - as long as the process


def tell(**what: Any) -> None:
    """Tells the benchmark that started this process."""
    _mailbox().write(json.dumps(what) + "\n")


def rest() -> None:
    """Stops the whole process until it is told to go on."""
    os.kill(os.getpid(), signal.SIGSTOP)


def ignore_rests() -> None:
    """Keeps a Textual application as it is over its rests. It takes every SIGCONT for the end of a suspension
    of its own, and would start its two threads once more."""
    from textual.drivers.linux_driver import LinuxDriver

    LinuxDriver._sigcont_application = lambda *_: None  # type: ignore[method-assign]


def mlxtop(session: Callable[..., Any], arguments: list[str]) -> None:
    """Runs the `mlxtop` command as it is, with its session made by `session`."""
    from mlxtop.__main__ import main
    from mlxtop.cli import dashboard

    ignore_rests()
    dashboard.LocalSession = session  # type: ignore[misc]
    sys.argv[1:] = arguments
    main()
