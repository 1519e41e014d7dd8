"""Growth is found where it is, and nowhere else; what is too little to tell is said to be."""

import random

import pytest

from mlxtop.check.bounds import Bound
from mlxtop.check.judgement import Finding, judge
from tests.check.conftest import Watched

MIB = 2**20
ALLOWED = Bound("growth", MIB / 60, "min")
"""1 MiB a minute."""


def grows(active: list[int], steps: int = 1, warm_up: float | None = None) -> Finding:
    watched = Watched()
    watched.course(active, steps=steps)
    (finding,) = judge([ALLOWED], [watched.observer], warm_up).findings
    return finding


def ramp(seconds: float, per_minute: float, start: int = 100 * MIB) -> list[int]:
    return [start + int(per_minute * MIB / 60 * i / 10) for i in range(int(seconds * 10))]


def sawtooth(values: list[int]) -> list[int]:
    """As work makes it: on top of what stays, much that comes and goes."""
    return [value + (i % 7) * 40 * MIB for i, value in enumerate(values)]


def test_a_leak_is_found_under_the_work_above_it() -> None:
    found = grows(sawtooth(ramp(20, 8)))
    assert found.verdict == "crossed"
    assert found.measured == pytest.approx(8 * MIB / 60, rel=0.1)
    assert found.why.startswith("between ")
    assert found.why.endswith("(99 %), over 15.8s after the warm-up")
    # What ends with the program, in its last steps, is no proof that nothing leaked.
    assert grows([*sawtooth(ramp(20, 8)), 0]).verdict == "crossed"
    # Slower than allowed.
    assert grows(sawtooth(ramp(20, 0.9))).verdict == "kept"


@pytest.mark.parametrize(
    "active",
    [
        [100 * MIB] * 200,
        sawtooth([100 * MIB] * 200),
        # It loads, and then works.
        [*ramp(3, 2000, 0), *sawtooth([100 * MIB] * 197)],
        # It loads a second model.
        [*[100 * MIB] * 100, *[150 * MIB] * 100],
        # A cache that fills up.
        [100 * MIB + int(50 * MIB * (1 - 0.98**i)) for i in range(400)],
        ramp(20, -50),
    ],
)
def test_no_growth_is_seen_where_there_is_none(active: list[int]) -> None:
    assert grows(active).verdict == "kept"


def test_noise_is_no_growth() -> None:
    """Sizes that vary by a tenth, a hundred times."""
    noise = random.Random(17)
    for _ in range(100):
        found = grows([int(noise.gauss(100, 10) * MIB) for _ in range(130)])
        assert found.verdict == "kept", found


def test_too_little_to_tell_is_not_kept() -> None:
    for active, why in (
        (ramp(3, 60), "not enough data: 2.8s of 12.5s with work"),
        ([0] * 300, "not enough data: 0s of 12.5s with work"),
        ([], "not enough data: 0s of 12.5s with work"),
    ):
        found = grows(active)
        assert (found.verdict, found.measured, found.why) == ("not measured", None, why)
    watched = Watched()
    for i in range(300):
        watched.sample(i / 10, 100, steps=i // 20)
    (few,) = judge([ALLOWED], [watched.observer]).findings
    assert (few.verdict, few.why) == ("not measured", "not enough data: 11 steps of 24")
    assert grows(ramp(13, 60), warm_up=5).why == "not enough data: 12.8s of 15s with work"
    assert grows(ramp(13, 60), warm_up=2).verdict == "crossed"


def test_a_program_whose_evaluations_are_not_seen_is_judged_by_time() -> None:
    assert grows(ramp(20, 8), steps=0).verdict == "crossed"


def test_a_growth_in_a_shape_that_may_end_is_not_judged() -> None:
    # It has gone on for a while, and then stopped.
    found = grows([*ramp(17, 60), *[117 * MIB] * 40])
    assert (found.verdict, found.why) == (
        "not measured",
        "cannot be told: it levels off; a longer run tells",
    )


def test_of_a_worker_that_was_over_at_once_no_growth_is_asked() -> None:
    short, long = Watched(1), Watched(2)
    short.course(ramp(2, 60))
    long.course(sawtooth(ramp(20, 0)))
    found = judge([ALLOWED], [short.observer, long.observer])
    assert [(f.process and f.process.pid, f.verdict) for f in found.findings] == [(2, "kept")]
