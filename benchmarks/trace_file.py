"""What a trace file of four million events costs to read, to show and to export. In processor time: the
machine may be busy. The default of `mlxtop trace` is an eighth of that."""

import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.trace import big

from benchmarks.measure import Figure, main, tail
from mlxtop.trace.export import FORMATS
from mlxtop.trace.export.chosen import Chosen
from mlxtop.trace.moments import Moments
from mlxtop.trace.reader import TraceFile
from mlxtop.trace.summary import summary

READ, SHOWN = ("≤", 1.0), ("≤", 2.0)


class Nowhere(io.RawIOBase):
    """Takes what is written and counts it."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: object) -> int:
        assert isinstance(data, bytes)
        self.size += len(data)
        return len(data)


def measure(events: int = 2**22, repeats: int = 5) -> Iterator[Figure]:
    """A file of `events`, a power of two, read `repeats` times; exported once in each format."""
    with tempfile.TemporaryDirectory() as name:
        big.write(path := Path(name, "big.mlxtrace"), events)

        def read() -> Moments:
            with TraceFile(path) as trace:
                return Moments(trace)

        def show() -> None:
            moments = read()
            summary(moments, moments.peak)

        what = f"trace: {events / 1e6:.1f} million events"
        for word, work, bar in (("read", read, READ), ("read and shown", show, SHOWN)):
            spent = [_spent(work) for _ in range(repeats)]
            yield Figure(f"{what} {word}", statistics.median(spent), "s", tail(spent), bar)
        moments = read()
        for form, writer in FORMATS.items():
            out = Nowhere()
            seconds = _spent(lambda out=out, writer=writer: writer.write(moments, Chosen(moments.peak), out))
            yield Figure(f"  exported as {form}", seconds, "s", f"{out.size / 1e6:,.1f} MB")


def _spent(work: Callable[[], object]) -> float:
    """Seconds of processor time."""
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main(measure)
