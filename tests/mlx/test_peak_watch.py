"""How high memory rose in a window, where, and what the program sees of that: nothing."""

import sys
from collections.abc import Iterator
from types import FrameType

import mlx.core as mx
import pytest

from mlxtop.mlx import peak_watch, step_peaks
from mlxtop.mlx.peak_watch import PeakWatch, Window
from mlxtop.mlx.step_peaks import StepPeaks
from tests.peaks import remove_step_peaks

MIB = 2**20
WRAPPED = "eval", "async_eval", "reset_peak_memory"


@pytest.fixture(scope="module", autouse=True)
def _as_before() -> Iterator[None]:
    """Other tests find MLX's own functions, and nobody who refers to them."""
    yield
    remove_step_peaks()


class Stretch(PeakWatch[str]):
    """A shared watch, and its only window from `start` on."""

    window: Window[str]

    def __init__(self) -> None:
        super().__init__(_function, shared=True)

    def start(self) -> None:
        self.window = self.open()
        self.install()

    def stop(self) -> None:
        self.close(self.window)
        self.remove()
        assert self.failure is None

    @property
    def rose(self) -> int:
        return self.window.peak - self.window.start


@pytest.fixture
def stretch() -> Iterator[Stretch]:
    # No references: whoever has one to MLX's peak would be thought to use it.
    made = Stretch()
    functions = [id(getattr(mx, name)) for name in WRAPPED]
    yield made
    made.remove()
    assert [id(getattr(mx, name)) for name in WRAPPED] == functions


def _function(frame: FrameType) -> str:
    return f"{frame.f_code.co_name}:{frame.f_lineno - frame.f_code.co_firstlineno}"


def _array(mib: int) -> mx.array:
    return mx.arange(mib * MIB // 4, dtype=mx.float32)


def test_the_line_of_the_highest_evaluation(stretch: Stretch) -> None:
    def step(mib: int) -> None:
        mx.eval(_array(mib))

    stretch.start()
    for mib in (4, 12, 8):
        step(mib)
    stretch.stop()
    assert stretch.rose > 11.9 * MIB
    assert (stretch.window.where, stretch.window.in_eval, stretch.window.exact) == ("step:1", True, True)
    assert peak_watch.at_rest().active - stretch.window.start < MIB


def test_what_rises_outside_of_eval_rises_here(stretch: Stretch) -> None:
    stretch.start()
    mx.eval(_array(2))
    stretch.look()
    stretch.here = "line 3"
    _array(8).sum().item()
    stretch.look()
    stretch.here = "line 4"
    mx.eval(_array(4))
    stretch.stop()
    # What MLX's threads give back late was there before.
    assert stretch.rose > 7.9 * MIB
    assert (stretch.window.where, stretch.window.in_eval) == ("line 3", False)


def test_an_earlier_peak_hides_nothing_and_stays_the_programs(stretch: Stretch) -> None:
    mx.reset_peak_memory()
    mx.eval(_array(32))
    before = mx.get_peak_memory()
    stretch.start()
    mx.eval(_array(4))
    assert mx.get_peak_memory() == before
    stretch.stop()
    assert 4 * MIB <= stretch.rose < 8 * MIB
    assert mx.get_peak_memory() == before


def test_the_programs_own_reset_hides_nothing(stretch: Stretch) -> None:
    stretch.start()
    stretch.here = "before the reset"
    _array(16).sum().item()
    mx.reset_peak_memory()
    mx.eval(_array(4))
    assert mx.get_peak_memory() < stretch.window.start + 8 * MIB
    stretch.stop()
    assert stretch.rose >= 16 * MIB
    assert stretch.window.where == "before the reset"


def test_an_evaluation_that_fails_is_the_programs_and_counts(stretch: Stretch) -> None:
    stretch.start()
    with pytest.raises(ValueError, match="transformation"):
        mx.compile(lambda x: mx.eval(x))(_array(1))
    mx.eval(_array(8))
    stretch.stop()
    # What MLX's threads give back late was there before.
    assert stretch.rose > 7.9 * MIB


def test_whoever_wraps_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    stretch = Stretch()
    own = mx.eval
    stretch.start()
    ours = mx.eval

    def theirs(*arrays: mx.array) -> None:
        ours(*arrays)

    monkeypatch.setattr(mx, "eval", theirs)
    stretch.stop()
    assert mx.eval is theirs
    theirs(_array(1))
    assert stretch.window.where is None
    monkeypatch.undo()
    mx.eval = own


def test_beside_an_agent_its_counts_are_used_and_kept() -> None:
    agents = StepPeaks()
    agents.install()
    try:
        assert step_peaks.current() is agents
        mx.reset_peak_memory()
        agents.end(agents.begin())
        mx.eval(_array(16))
        stretch = Stretch()
        stretch.start()
        begun = agents.begin()
        mx.eval(_array(4))
        rise = agents.end(begun)
        stretch.stop()
        assert rise is not None
        assert rise[0] - rise[1] >= 4 * MIB
        assert 4 * MIB <= stretch.rose < 8 * MIB
        assert agents.exact
        assert mx.get_peak_memory() >= 16 * MIB
    finally:
        agents.remove()


def test_a_peak_that_is_somebody_elses_is_left_alone() -> None:
    remove_step_peaks()
    imported = vars(mx)["reset_peak_memory"]
    mx.eval(_array(16))
    before = mx.get_peak_memory()
    stretch = Stretch()
    stretch.start()
    mx.eval(_array(4))
    stretch.stop()
    assert not stretch.window.exact
    assert stretch.window.where is None
    assert mx.get_peak_memory() == before
    remove_step_peaks()
    assert mx.reset_peak_memory is imported


def test_the_frame_is_the_callers() -> None:
    found: list[FrameType] = []
    watch = PeakWatch(found.append, shared=True)
    assert watch.open().exact
    watch.install()
    mx.eval(_array(4))
    watch.remove()
    assert found == [sys._getframe()]


def test_a_fault_of_ours_stays_here_and_ends_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = PeakWatch(_function)
    watch.install()
    monkeypatch.setattr(peak_watch, "place", int)
    for _ in range(2):
        mx.eval(_array(1))
    watch.remove()
    assert isinstance(watch.failure, TypeError)
