"""Who made the peak: programs whose peak is planted in a known operation and a known line. Each is named."""

import gzip
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from mlxtop.mlx.trace import tracer
from mlxtop.trace.composition import by_line, by_operation
from mlxtop.trace.moments import Moments
from mlxtop.trace.reader import TraceFile
from mlxtop.trace.sizes import by_size
from mlxtop.trace.unfreed import unfreed
from tests.process import ROOT
from tests.trace.pprof_profile import profile
from tests.trace.test_export import check_snapshot, counter, exported, packets, slices_of

HERE = Path(__file__).parent
PROGRAMS = sorted(path for path in (HERE / "planted").glob("*.py") if not path.stem.startswith("_"))

pytestmark = pytest.mark.usefixtures("processes")


class Planted(NamedTuple):
    """What a program's text says of its peak."""

    operation: str
    line: int


def planted(program: Path) -> Planted:
    lines = program.read_text().splitlines()
    found = re.search(r"PEAK: (\w+)", lines[0])
    assert found
    (number,) = (number for number, line in enumerate(lines, 1) if line.endswith("# PLANTED"))
    return Planted(found[1], number)


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Moments]:
    """The trace of each program, all by one process: MLX is imported once."""
    if (refused := tracer.refusal()) is not None:
        pytest.skip(refused)
    folder = tmp_path_factory.mktemp("planted")
    subprocess.run(
        [sys.executable, str(HERE / "traced.py"), str(folder), *map(str, PROGRAMS)],
        cwd=ROOT, check=True, timeout=200,
    )  # fmt: skip
    return {program: taken(folder / f"{program.stem}.mlxtrace") for program in PROGRAMS}


def taken(path: Path) -> Moments:
    """What a file holds, which is 40 MB: it does not stay."""
    with TraceFile(path) as trace:
        moments = Moments(trace)
    path.unlink()
    return moments


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_the_peak_names_its_operation_and_its_line(traces: dict[Path, Moments], program: Path) -> None:
    moments, wanted = traces[program], planted(program)
    peak = moments.peak
    assert peak is not None
    operation, line = by_operation(peak, moments.sites)[0], by_line(peak, moments.sites)[0]
    assert operation.name == wanted.operation
    assert operation.bytes > peak.total / 2
    assert line.name.startswith(f"{program}:{wanted.line} ")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_the_sums_of_a_real_trace_agree(traces: dict[Path, Moments], program: Path) -> None:
    moments = traces[program]
    header = moments.header
    assert header.closed
    assert (moments.ring.torn, header.lost) == (0, 0)
    assert moments.now.exact
    assert moments.now.total == header.active
    assert moments.peak is not None
    # Where threads allocate and free at once, MLX's peak may be the higher one.
    assert header.peak / 2 <= moments.peak.total <= header.peak
    alive = unfreed(moments)
    assert sum(one.bytes for one in alive) == header.active
    assert sum(one.buffers for one in alive) == moments.now.count
    blocks = moments.blocks(moments.ring.end)
    assert blocks is not None
    assert sum(one.buffers for one in by_size(blocks)) == moments.now.count


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_real_trace_is_exported(traces: dict[Path, Moments], program: Path) -> None:
    moments = traces[program]
    assert moments.peak is not None
    drawn = check_snapshot(pickle.loads(exported(moments, "memory-viz")))
    assert abs(drawn[0] - moments.header.active) <= moments.now.count
    found = profile().FromString(gzip.decompress(exported(moments, "pprof")))
    assert sum(one.value[1] for one in found.sample) == moments.peak.total
    seen = packets(exported(moments, "perfetto"))
    assert counter(seen, "active")[-1] == moments.header.active
    assert len(slices_of(seen, "step")) >= 1
    stacks = exported(moments, "folded").decode().splitlines()
    assert sum(int(line.rpartition(" ")[2]) for line in stacks) == moments.peak.total
    assert len(json.loads(exported(moments, "json"))["events"]) == moments.ring.end


def test_there_are_ten_programs() -> None:
    assert len({planted(program).operation for program in PROGRAMS}) >= 10
