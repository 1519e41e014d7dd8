"""python -m benchmarks.subjects.recording FILE RATE SECONDS: records a program that is never at rest, in real
time; tells for one stretch of SECONDS after another what the recorder's thread and a sink took."""

import itertools
import sys
import threading
import time
from pathlib import Path

from tests.recording.source import Session, add, busy_run

from benchmarks.subjects import tell
from mlxtop.core.sample import Sample
from mlxtop.recording.recorder import Recorder

MADE = 60_000
"""Samples made beforehand, so that making them takes no time from the recorder."""


def main(path: str, rate: float, seconds: float) -> None:
    recorder = Recorder(Path(path))
    put = add(recorder, Session(interval=1 / rate))
    recorder.start()
    made = list(busy_run(rate, MADE / rate))
    costs: list[float] = []
    threading.Thread(target=_watch, args=(recorder, seconds, costs), daemon=True).start()
    began = time.monotonic()
    for n in itertools.count():
        due = n / rate
        time.sleep(max(0.0, began + due - time.monotonic()))
        sample = Sample(due, *made[n % MADE][1:])
        before = time.perf_counter()
        put(sample)
        costs.append(time.perf_counter() - before)


def _watch(recorder: Recorder, seconds: float, costs: list[float]) -> None:
    assert recorder.ident is not None
    clock = time.pthread_getcpuclockid(recorder.ident)
    while True:
        then, spent = time.monotonic(), time.clock_gettime(clock)
        del costs[:]
        time.sleep(seconds)
        share = (time.clock_gettime(clock) - spent) / (time.monotonic() - then)
        tell(share=share * 100, sink=sorted(costs)[len(costs) // 2] * 1e6)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
