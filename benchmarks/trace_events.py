"""What `mlxtop trace` costs a program: processor time of an event, with and without a trace in turns; and of
a step that tells its line. Needs a C compiler."""

import shutil
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import HOME, Figure, Terminal, main, quartiles, subject

THREADS, FRAMES = (1, 4), (5, 12)
EVENT, STEP = ("≤", 150.0), ("≤", 3.0)


def measure(times: int = 20) -> Iterator[Figure]:
    """`times` each, of 200,000 events and of 2,000 steps."""
    compiler = shutil.which("cc")
    if compiler is None:
        return
    with TemporaryDirectory() as folder:
        stress = Path(folder, "stress.so")
        source = HOME / "tests" / "mlx" / "stress.c"
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", stress, source, "-lpthread"], check=True)
        for threads in THREADS:
            added = _told(times, "added", str(stress), "events", str(threads))
            what = f"trace: an event, {threads} thread{'s' if threads > 1 else ''}"
            yield Figure(what, statistics.median(added), "ns", quartiles(added), EVENT)
        for frames in FRAMES:
            cost = _told(times, "step", str(stress), "steps", str(frames))
            bar = STEP if frames == FRAMES[0] else None
            yield Figure(
                f"trace: a step, below {frames} frames", statistics.median(cost), "µs", quartiles(cost), bar
            )


def _told(times: int, name: str, *words: str) -> list[float]:
    with Terminal(subject("trace_events", *words)) as terminal:
        return [terminal.hear()[name] for _ in range(times + 1)][1:]


if __name__ == "__main__":
    main(measure)
