"""What mlxtop itself costs: the processor time of its own threads, MLX's not among them."""

import threading
import time

ENGINE = "mlxtop-engine"
"""The thread that does the program's own work; its time is the model's, not mlxtop's."""

# Only threads that live as long as the screen: asking for the clock of one that has ended is undefined.
_NAMES = ("MainThread", "mlxtop-sampler", "mlxtop-fleet", "mlxtop-guard", "textual-input", "textual-output")


def cpu() -> float:
    """Seconds of processor time used so far by the threads that sample and draw.

    Where the system has no clock for another thread (macOS), only the caller's own is counted.
    """
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.thread_time()
    mine = (t.ident for t in threading.enumerate() if t.name in _NAMES)
    return sum(time.clock_gettime(time.pthread_getcpuclockid(ident)) for ident in mine if ident)
