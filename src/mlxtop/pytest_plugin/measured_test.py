"""One test, measured."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps

import pytest

from mlxtop.core.census import Census
from mlxtop.core.errors import fatal
from mlxtop.mlx import census, peak_watch
from mlxtop.pytest_plugin.baseline import Baseline, device
from mlxtop.pytest_plugin.figures import Figures
from mlxtop.pytest_plugin.marks import LeakLimit, Marks, PeakLimit
from mlxtop.pytest_plugin.measurement import Measurement, MlxMemory, Watch

CENSUS = 2.0
"""Seconds of processor time for a census: who holds the memory is asked of a test that fails only."""


def _ours(method: Callable[["MeasuredTest"], None]) -> Callable[["MeasuredTest"], None]:
    """An error of ours is a warning, and the test goes on unmeasured."""

    @wraps(method)
    def guarded(self: "MeasuredTest") -> None:
        if self.broken:
            return
        try:
            method(self)
        except Exception as error:
            self.give_up(error)

    return guarded


class MeasuredTest:
    """The body of a test: it runs `warmup` times, then as pytest has it, and again if it left memory behind.

    Fixtures are set up once.
    """

    def __init__(self, item: pytest.Item, wanted: Marks, watch: Watch, baseline: Baseline | None) -> None:
        self._item, self._wanted, self._watch = item, wanted, watch
        self._peaks: list[PeakLimit] = [wanted.peak] if wanted.peak else []
        self._leaks: list[LeakLimit] = [wanted.leaks] if wanted.leaks else []
        self._baseline = baseline
        self._memory: MlxMemory | None = None
        self._whole: Measurement | None = None
        self._runs = 0
        self._first_outcomes: list[object] = []
        self._before = self._growth = 0
        self._seconds = 0.0
        self._told: list[str] = []
        self._censuses: list[Census] = []
        self.broken = False

    @property
    def memory(self) -> MlxMemory:
        """What the fixture gives."""
        if self._memory is None:
            self._memory = MlxMemory(self._watch)
        return self._memory

    @_ours
    def begin(self) -> None:
        """The fixtures are set up."""
        self._ask_baseline()
        start = peak_watch.start_afresh(bool(self._wanted.named))
        self._whole = Measurement(self._watch)
        if self._peaks:
            highest = self._whole.window.alarm = min(limit.highest(start) for limit in self._peaks)
            if start > highest:
                self._whole.window.census = census.take(CENSUS)
        if self._memory is not None:
            self._memory.restart()

    def _ask_baseline(self) -> None:
        known = self._baseline and self._baseline.limits(self._item.nodeid, device())
        if not known:
            return
        peak, growth = known
        self._peaks.append(peak)
        # What grows without a warm-up depends on which tests ran before.
        if growth is not None and self._wanted.leaks is not None:
            self._leaks.append(growth)

    def warm_up(self) -> None:
        """Runs the body for what it makes once only."""
        for _ in range(self._wanted.leaks.warmup if self._wanted.leaks else 0):
            self._run_body()
            if self._outcomes:
                break
        self._first_outcomes = list(self._outcomes)

    def run_again_if_grown(self) -> None:
        """Runs the body between two censuses if it left more behind than it may."""
        if self._first_outcomes:
            # It has failed already, and fails once.
            self._outcomes[:] = self._first_outcomes
        if self.broken or self._outcomes or not self._leaks or self._growth <= self._least:
            return
        first = self._growth
        self._count()
        self._run_body()
        self._count()
        self._growth = min(first, self._growth)

    @property
    def _least(self) -> int:
        return min(limit.size for limit in self._leaks)

    @_ours
    def _count(self) -> None:
        self._censuses.append(census.take(CENSUS))

    def _run_body(self) -> None:
        # Through the same hooks as pytest's own run: they make a coroutine run.
        with self.run():
            self._item.runtest()

    @contextmanager
    def run(self) -> Iterator[None]:
        """A run of the body. Its exceptions go on."""
        self._runs += 1
        self._start_run()
        began = time.perf_counter()
        try:
            yield
        except Exception as error:
            if self._runs > 1:
                again = "mlx_leaks repeats the body of a test, with the same fixtures"
                error.add_note(f"This was run {self._runs}: {again}.")
            raise
        finally:
            self._seconds = time.perf_counter() - began
        self._end_run()

    @_ours
    def _start_run(self) -> None:
        if self._leaks:
            self._before = peak_watch.settle()

    @_ours
    def _end_run(self) -> None:
        if self._leaks:
            self._growth = peak_watch.settle_to(self._before) - self._before

    @_ours
    def end(self) -> None:
        """The body is over, or an exception ended it."""
        if self._whole is None:
            return
        self._whole.finish()
        if self._watch.failure is not None:
            self.give_up(self._watch.failure)
            return
        self._figures(self._whole).write(self._item.user_properties)

    def _figures(self, whole: Measurement) -> Figures:
        leaks = bool(self._leaks)
        return Figures(
            whole.peak, self._growth if leaks else whole.growth, whole.cache, self._seconds, leaks, device()
        )

    def judge(self) -> None:
        """Fails the test if it broke a limit."""
        if not self._outcomes:
            self._compare()
        if self._told:
            pytest.fail("\n\n".join(self._told), pytrace=False)

    @_ours
    def _compare(self) -> None:
        whole = self._whole
        assert whole is not None
        over = [limit for limit in self._peaks if whole.peak_absolute > limit.highest(whole.start)]
        leaked = [limit for limit in self._leaks if self._growth > limit.size]
        if over or leaked:
            # It imports rich.
            from mlxtop.pytest_plugin import failure

            self._told = [failure.over_peak(limit, whole, self._item.path) for limit in over]
            self._told += [failure.leak(limit, self._growth, self._censuses) for limit in leaked]

    @property
    def _outcomes(self) -> list[object]:
        """How a `unittest.TestCase` failed or was skipped, which raises nothing."""
        found: list[object] | None = getattr(self._item, "_excinfo", None)
        return [] if found is None else found

    def leave(self) -> None:
        """The fixtures are torn down."""
        self._watch.remove()

    def give_up(self, error: Exception) -> None:
        """Measures no more."""
        self.broken = True
        self._watch.remove()
        tell(self._item, error)


def tell(item: pytest.Item, error: Exception) -> None:
    """Warns of an error of ours. Where warnings are errors it is told in the test's report."""
    text = str(fatal("Measuring MLX's memory", error))
    try:
        item.warn(pytest.PytestWarning(text))
    except Warning:
        item.add_report_section("call", "mlxtop", text)
