"""What mlxtop itself costs: the processor time of its own threads, MLX's not among them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mlxtop.system import thread_clock

ENGINE = "mlxtop-engine"
"""The thread that does the program's own work; its time is the model's, not mlxtop's."""

_TEXTUAL = ("textual-input", "textual-output")
"""Threads that Textual starts for the screen and that cannot enter themselves."""

_lock = threading.Lock()
_live: set[threading.Thread] = {threading.main_thread()}
_ended = 0.0
"""Seconds that threads used which have ended since."""


@contextmanager
def counted() -> Iterator[None]:
    """Counts the calling thread as mlxtop's own until the block ends. Also a decorator."""
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
    """Seconds of processor time used so far by mlxtop's own threads, those that have ended included."""
    with _lock:
        threads = _live | {thread for thread in threading.enumerate() if thread.name in _TEXTUAL}
        return _ended + sum(_seconds(thread) for thread in threads)


def _seconds(thread: threading.Thread) -> float:
    if thread.ident is None or thread.native_id is None:
        return 0.0
    return thread_clock.seconds(thread.ident, thread.native_id) or 0.0
