"""The processor time of mlxtop's own threads, without MLX's."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mlxtop.system import thread_clock

ENGINE = "mlxtop-engine"
"""The thread that runs the model. Its time does not count as mlxtop's."""

_TEXTUAL = ("textual-input", "textual-output")
"""Threads that Textual starts, which cannot call `counted`."""

_lock = threading.Lock()
_live: set[threading.Thread] = {threading.main_thread()}
_ended = 0.0
"""Seconds used by threads that have ended."""


@contextmanager
def counted() -> Iterator[None]:
    """Counts the calling thread as mlxtop's until the block ends. It can also be used as a decorator."""
    global _ended
    me, before = threading.current_thread(), time.thread_time()
    with _lock:
        known = me in _live
        _live.add(me)
    try:
        yield
    finally:
        if not known:
            with _lock:
                _live.discard(me)
                _ended += time.thread_time() - before


def cpu() -> float:
    """Returns the processor time in seconds of mlxtop's threads, including those that have ended."""
    with _lock:
        threads = _live | {thread for thread in threading.enumerate() if thread.name in _TEXTUAL}
        return _ended + sum(_seconds(thread) for thread in threads)


def _seconds(thread: threading.Thread) -> float:
    if thread.ident is None or thread.native_id is None:
        return 0.0
    return thread_clock.seconds(thread.ident, thread.native_id) or 0.0
