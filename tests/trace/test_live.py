"""The trace of a program that runs is read while it is written, and after a kill."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlxtop.mlx.trace import tracer
from mlxtop.trace.churn import churn
from mlxtop.trace.composition import by_line
from mlxtop.trace.moments import Moments
from mlxtop.trace.reader import TraceFile
from mlxtop.trace.unfreed import unfreed
from tests.process import ROOT

HERE = Path(__file__).parent
AT_ONCE = 12_000
"""A buffer of the program has fewer than 6,000 bytes, and each of its two threads may be at one."""

pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    if (refused := tracer.refusal()) is not None:
        pytest.skip(refused)
    path = tmp_path / "t.mlxtrace"
    yield path
    # It is 40 MB.
    path.unlink(missing_ok=True)


def test_a_trace_is_read_while_it_is_written_and_after_a_kill(path: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, str(HERE / "allocating.py"), str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == "begun\n"
        with TraceFile(path) as trace:
            written = 0
            for _ in range(10):
                moments = Moments(trace)
                assert moments.header.ring_written >= written
                written = moments.header.ring_written
                assert not moments.header.closed
                peak = moments.peak
                assert peak is not None
                # Between an event and its sums a buffer may be missing, or counted already.
                assert peak.total <= moments.header.peak + AT_ONCE
                assert moments.ring.end - moments.ring.begin <= 2**12
                # The whole ring may have been written over while it was read.
                times = moments.curve[0].tolist()
                assert not times or moments.highest(times[0], moments.last_ns) is not None
            program.kill()
            program.wait()
            check_dead(Moments(trace))
    finally:
        program.kill()
        program.wait()


def check_dead(moments: Moments) -> None:
    assert moments.now.exact
    assert not moments.header.closed
    assert abs(moments.now.total - moments.header.active) <= AT_ONCE
    assert abs(sum(one.bytes for one in unfreed(moments)) - moments.now.total) <= AT_ONCE
    assert moments.ring.torn <= 2
    peak, steps = moments.peak, churn(moments)
    assert peak is not None
    assert steps is not None
    assert steps.steps > 100
    (line, *_) = by_line(peak, moments.sites)
    assert line.name == f"{HERE / 'allocating.py'}:14 <module>"
