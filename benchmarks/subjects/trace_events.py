"""Allocations of MLX's with a trace and without one, in turns; and steps that tell a trace their lines.

python -m benchmarks.subjects.trace_events STRESS events THREADS   ns of processor time that an event adds
python -m benchmarks.subjects.trace_events STRESS steps DEPTH      µs of a step that is told, so deep

STRESS is `tests/mlx/stress.c`, compiled: threads that call MLX's allocator as MLX's own code does.
"""

import ctypes
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import mlx.core as mx

from benchmarks.subjects import tell
from mlxtop.mlx.trace.tracer import Tracer

PAIRS, LARGEST, STEPS = 100_000, 3000, 2000
# By then the file's pages have been written to once, as in any longer run.
WARM_UP = 3


def events(stress: str, threads: int, folder: str) -> None:
    work = ctypes.CDLL(stress).stress
    work.restype, work.argtypes = ctypes.c_double, (ctypes.c_void_p, ctypes.c_int, *[ctypes.c_uint64] * 2)
    library = ctypes.CDLL(str(Path(mx.__file__).parent / "lib" / "libmlx.so"))
    allocator = ctypes.cast(library["_ZN3mlx4core9allocator9allocatorEv"], ctypes.c_void_p)
    each = PAIRS // threads

    def cost() -> float:
        return float(work(allocator, threads, each, LARGEST) / (2 * each * threads) * 1e9)

    mx.get_active_memory()
    while True:
        before = cost()
        tracer = Tracer(f"{folder}/t")
        tracer.start()
        for _ in range(WARM_UP):
            cost()
        traced = cost()
        tracer.stop()
        Path(tracer.path).unlink()
        tell(added=traced - (before + cost()) / 2)


def steps(depth: int, folder: str) -> None:
    tracer = Tracer(f"{folder}/t")
    tracer.start()

    def below(frames: int) -> float:
        if frames:
            return below(frames - 1)
        frame, began = sys._getframe(), time.thread_time()
        for step in range(STEPS):
            tracer.end(tracer.begin(frame, "decode", step))
        return (time.thread_time() - began) / STEPS * 1e6

    while True:
        tell(step=below(depth - 4))


if __name__ == "__main__":
    stress, what, number = sys.argv[1:]
    with TemporaryDirectory() as folder:
        if what == "events":
            events(stress, int(number), folder)
        else:
            steps(int(number), folder)
