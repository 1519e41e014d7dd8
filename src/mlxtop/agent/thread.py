"""A thread that `threading` does not know: a program that joins all its threads does not wait for it."""

from __future__ import annotations

import _thread
import sys
import time

from mlxtop.core.suppress import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class RawThread:
    """Runs `work` once it is started.

    `work` must not ask `threading` for the current thread: `threading` would list it from then on.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._done = _thread.allocate_lock()
        self._handle: Any = None
        self.ident: int | None = None
        """What `pthread_self` says in it; `None` until it is started."""

    def start(self) -> None:
        """Starts it. Raises `RuntimeError` where the system gives no more threads."""
        self._done.acquire()
        if sys.version_info >= (3, 13):
            self._handle = _thread.start_joinable_thread(self._run, daemon=True)
            self.ident = self._handle.ident
        else:
            self.ident = _thread.start_new_thread(self._run, ())

    def wait(self, timeout: float) -> None:
        """Waits until Python is done with it, `timeout` seconds at most."""
        if self.ident is None:
            return
        end = time.monotonic() + timeout
        if not self._done.acquire(timeout=timeout):
            return
        self._done.release()
        left = max(0.0, end - time.monotonic())
        if sys.version_info >= (3, 13):
            self._handle.join(left)
        else:
            self._handle.acquire(timeout=left)

    def _run(self) -> None:
        try:
            if sys.version_info < (3, 13):
                # Python releases it when its state for the thread is gone: later than our last line.
                self._handle = vars(_thread)["_set_sentinel"]()
            with suppress(BaseException):
                self._work()
        finally:
            self._done.release()
