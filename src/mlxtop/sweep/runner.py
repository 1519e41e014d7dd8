"""Runs a plan round by round until the intervals are narrow enough."""

import statistics
import threading
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from mlxtop.core.errors import MlxtopError, fatal
from mlxtop.core.facts import Facts
from mlxtop.sweep.executor import CellFailedError, Executor, Measured, Stopped
from mlxtop.sweep.measurement import Measurement
from mlxtop.sweep.plan import Cell, Plan
from mlxtop.sweep.results import Summary, is_disturbed, summarize
from mlxtop.sweep.store import Stored, check_device

AGAIN = 1 / 3
"""Disturbed cells are repeated at the end of their block if they are at most this share of it."""
Stage = Literal["load", "warm-up", "measure", "done", "stopped", "failed"]


class Progress(NamedTuple):
    """The progress of a sweep."""

    stage: Stage
    cell: Cell | None = None
    """The cell that is being measured."""
    done: int = 0
    """Cells measured so far."""
    total: int = 0
    """Cells of all rounds. A sweep may need fewer."""
    left: float | None = None
    """The most seconds left; `None` before the first measurement."""


class Sweep:
    """One sweep. `run` executes it on the calling thread. `changed` is called after every change.

    `keep(summary, facts, measurements)` is called after every cell, to store them.
    """

    def __init__(
        self,
        plan: Plan,
        executor: Executor,
        changed: Callable[["Sweep"], None] = lambda _: None,
        keep: Callable[[Summary, Facts, list[Measurement]], None] | None = None,
        stored: Stored | None = None,
    ) -> None:
        self.plan = plan
        self.measurements: list[Measurement] = []
        self.summary = summarize(plan, [], Facts())
        self.progress = Progress("load")
        self.failure: MlxtopError | None = None
        self.began = time.monotonic()
        self._executor = executor
        self.changed = changed
        self._keep = keep
        self._stored = stored
        self._stopping = threading.Event()
        self._broken: dict[int, str] = {}
        """Combinations that cannot be measured, with the reason."""

    def run(self) -> None:
        """Runs the sweep. An error that ends it is stored in `failure`."""
        stage: Stage = "done"
        try:
            self._show("load")
            self._executor.open()
            self._warm_up()
            if self._stored is not None:
                self._go_on(self._stored)
            for number in range(self.plan.rounds):
                if self._enough(number):
                    break
                self._round(number)
        except Stopped:
            stage = "stopped"
        except BaseException as error:
            self.failure, stage = fatal("The sweep", error), "failed"
        finally:
            self._executor.close()
            self._show(stage)

    def stop(self) -> None:
        """Ends the sweep soon, from any thread. Its measurements are kept."""
        self._stopping.set()
        self._executor.stop()

    @property
    def facts(self) -> Facts:
        """The facts of the device; empty before the first run."""
        return self._executor.facts

    def _go_on(self, stored: Stored) -> None:
        check_device(stored, self.facts)
        self.measurements = [*stored.measurements, *self.measurements]
        self._broken |= {r.arm: r.error for r in self.measurements if r.error is not None}
        self._sum_up()

    # Rounds

    def _enough(self, number: int) -> bool:
        """Returns whether no further round is needed. A begun round is finished first."""
        begun = any(r.round == number for r in self.measurements)
        return self.summary.enough and not begun

    def _warm_up(self) -> None:
        """Runs each shape once: the first run compiles, and fails if the cell cannot run at all."""
        seen = set()
        for cell in self.plan.cells:
            shape = self._executor.shape(cell)
            if shape not in seen and cell.arm not in self._broken:
                seen.add(shape)
                self._show("warm-up", cell)
                self._measure(0, cell, warm_up=True)

    def _round(self, number: int) -> None:
        done = {(r.arm, r.length) for r in self.measurements if r.round == number}
        for block in self.plan.round(number):
            cells = [cell for cell in block if (cell.arm, cell.length) not in done]
            for cell in cells:
                self._take(number, cell)
            # Now, while conditions are still those of the block.
            again = [cell for cell in cells if self._was_disturbed(number, cell)]
            for cell in again if len(again) <= AGAIN * len(block) else ():
                self._take(number, cell)

    def _take(self, number: int, cell: Cell) -> None:
        if cell.arm in self._broken:
            return
        self._show("measure", cell)
        self._measure(number, cell)
        self._sum_up()

    def _was_disturbed(self, number: int, cell: Cell) -> bool:
        return any(
            is_disturbed(r, self.summary.usual)
            for r in self.measurements
            if (r.round, r.arm, r.length) == (number, cell.arm, cell.length)
        )

    def _measure(self, number: int, cell: Cell, warm_up: bool = False) -> None:
        if self._stopping.is_set():
            raise Stopped
        at, began = time.time(), time.monotonic()
        measured, message = Measured({}, None), None
        try:
            measured = self._executor.measure(cell)
        except CellFailedError as error:
            message = self._broken[cell.arm] = str(error)
        if len(self._broken) == len(self.plan.arms):
            raise MlxtopError(next(iter(self._broken.values())))
        if message is not None or not warm_up:
            seconds = time.monotonic() - began
            self.measurements.append(Measurement(number, *cell, at, seconds, *measured, message))

    # Progress

    def _sum_up(self) -> None:
        # Before the next cell begins, so that it is not disturbed.
        self.summary = summarize(self.plan, self.measurements, self.facts)
        if self._keep is not None:
            self._keep(self.summary, self.facts, self.measurements)

    def _show(self, stage: Stage, cell: Cell | None = None) -> None:
        arms = len(self.plan.arms) - len(self._broken)
        total = self.plan.rounds * arms * len(self.plan.lengths)
        done = len({(r.round, r.arm, r.length) for r in self.measurements if r.error is None})
        self.progress = Progress(stage, cell, min(done, total), total, self._left(total - done))
        self.changed(self)

    def _left(self, cells: int) -> float | None:
        spent = [r.seconds for r in self.measurements if r.error is None]
        return statistics.fmean(spent) * max(0, cells) if spent else None
