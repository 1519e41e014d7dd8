import threading
import time

import pytest

from mlxtop.mlx.sampler import Sampler
from tests.process import python


class Watched:
    """A sampler run for some ticks, and on which point of its grid each of them was."""

    def __init__(self, interval: float, ticks: int, slow: dict[int, float] | None = None) -> None:
        self.interval = interval
        self.times: list[float] = []
        self.points: list[int] = []
        self.late: list[int] = []
        self._slow = slow or {}
        self._ticks = ticks
        self._over = threading.Event()
        self.sampler = Sampler(interval, self._tick, self._missed)
        self.sampler.start()
        assert self._over.wait(30)
        self.sampler.stop()

    def _tick(self, now: float) -> None:
        self.times.append(now)
        self.points.append(len(self.points) + sum(self.late))
        time.sleep(self._slow.get(len(self.times), 0))
        if len(self.times) == self._ticks:
            self._over.set()

    def _missed(self, points: int) -> None:
        self.late.append(points)

    @property
    def phases(self) -> list[float]:
        """How long after its grid point each tick ran, in intervals; the first tick stands for the grid."""
        origin = self.times[0] - self.points[0] * self.interval
        return [
            (t - origin) / self.interval - point for t, point in zip(self.times, self.points, strict=True)
        ]


def test_ticks_stay_on_the_grid_they_began_on() -> None:
    watched = Watched(interval=0.005, ticks=200)
    # A tick a whole interval from its point would be another point's: 0.1 ms of drift a tick would make four.
    assert all(-1 < phase < 1 for phase in watched.phases)


def test_after_a_slow_tick_the_missed_points_are_skipped_and_counted_and_never_made_up_for() -> None:
    watched = Watched(interval=0.02, ticks=16, slow={4: 3.5 * 0.02, 8: 3.5 * 0.02})
    assert watched.late
    assert sum(watched.late) >= 4
    assert min(watched.late) > 0
    assert watched.points == sorted(set(watched.points))
    assert watched.points[4] - watched.points[3] >= 3
    assert all(-1 < phase < 1 for phase in watched.phases)
    assert watched.sampler.skipped == sum(watched.late)
    assert watched.points[-1] + 1 == watched.sampler.ticks + watched.sampler.skipped


@pytest.mark.timeout(60)
def test_stop_ends_a_sampler_whose_every_tick_is_late() -> None:
    over = threading.Event()
    sampler = Sampler(0.005, lambda _: (time.sleep(0.02), over.set()))
    sampler.start()
    assert over.wait(30)
    sampler.stop()
    assert not sampler.is_alive()


def test_the_first_tick_comes_at_once() -> None:
    ticked = threading.Event()
    sampler = Sampler(600, lambda _: ticked.set())
    sampler.start()
    assert ticked.wait(30)
    sampler.stop()


@pytest.mark.timeout(60)
def test_stop_does_not_wait_for_the_next_tick() -> None:
    sampler = Sampler(600, lambda _: None)
    sampler.start()
    sampler.stop()
    assert not sampler.is_alive()


def test_no_tick_comes_after_stop() -> None:
    ticked = threading.Event()
    sampler = Sampler(0.002, lambda _: ticked.set())
    sampler.start()
    assert ticked.wait(30)
    sampler.stop()
    ticked.clear()
    assert not ticked.wait(0.02)


def test_stopping_twice_before_the_start_or_from_a_tick_hangs_nobody() -> None:
    Sampler(1, lambda _: None).stop()
    twice = Sampler(1, lambda _: None)
    twice.start()
    twice.stop()
    twice.stop()
    inside = Sampler(0.001, lambda _: inside.stop())
    inside.start()
    inside.join(30)
    assert not inside.is_alive()


@pytest.mark.usefixtures("processes")
def test_a_program_that_ends_waits_for_no_sampler() -> None:
    code = "from mlxtop.mlx.sampler import Sampler; Sampler(0.01, lambda _: None).start(); print(1)"
    assert python(code, timeout=20) == 1
