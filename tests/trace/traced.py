"""Runs programs in turn in this process, each with a trace of its own: `python traced.py FOLDER PROGRAM…`."""

import gc
import runpy
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx

from mlxtop.mlx.trace.tracer import Tracer

EVENTS = 2**12
real_eval = mx.eval


def run(program: Path, trace: Path) -> None:
    """Runs a program, and tells the tracer where it evaluates, as the agent's hook does."""
    # Of the program before nothing is left.
    gc.collect()
    mx.synchronize()
    mx.clear_cache()
    mx.reset_peak_memory()
    tracer = Tracer(str(trace), events=EVENTS)
    tracer.start()
    step = 0

    def evaluate(*arrays: Any) -> None:
        nonlocal step
        step += 1
        token = tracer.begin(sys._getframe(1), program.stem, step)
        try:
            real_eval(*arrays)
        finally:
            tracer.end(token)

    mx.eval = evaluate
    try:
        runpy.run_path(str(program))
    finally:
        mx.eval = real_eval
        tracer.stop()


if __name__ == "__main__":
    for name in sys.argv[2:]:
        run(Path(name), Path(sys.argv[1]) / f"{Path(name).stem}.mlxtrace")
