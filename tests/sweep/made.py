"""Sweeps written down by hand: a plan, and measurements as a bench would have brought them."""

import random
from collections.abc import Sequence
from typing import Any

from mlxtop.core.facts import Facts
from mlxtop.core.units import Size
from mlxtop.sweep.executor import CellFailedError, Measured, Stopped
from mlxtop.sweep.measurement import Measurement
from mlxtop.sweep.plan import Cell, Plan, SweepParameter
from mlxtop.sweep.target import ModelTarget

MIB = 2**20
LIMITS: tuple[Size, ...] = (0, 2 * MIB, 20 * MIB, "default")
FACTS = Facts(device="A machine", backend="CPU", memory=2**34, mlx="0.32.4", cache_limit=32 * MIB)


def plan(**more: Any) -> Plan:
    """A plan of the demo, or of the `target` that is given."""
    given: dict[str, Any] = {
        "target": ModelTarget((128, 512), 64),
        "parameters": (SweepParameter("cache-limit", LIMITS),),
    }
    return Plan(**{**given, **more})


def values(cell: Cell, speed: float = 100.0) -> dict[str, float]:
    """What a cell brings on a machine without noise: each step of the limit holds 100 MiB more."""
    held = 500 * MIB * (cell.length + 1) + cell.arm * 100 * MIB
    return {
        "tps": speed,
        "ttft": 0.2 * (cell.length + 1),
        "prefill": 900.0,
        "active": held - 50 * MIB,
        "total": held,
        "cache": cell.arm * 100 * MIB,
        "footprint": held + 80 * MIB,
    }


def measurements(
    of: Plan, speeds: Sequence[float], rounds: int = 6, noise: float = 0.002, busy: float | None = 0.01
) -> list[Measurement]:
    """`speeds` are tokens/s of each arm, the same at every length."""
    chance, found = random.Random(5), []
    for number in range(rounds):
        for block in of.round(number):
            for cell in block:
                speed = speeds[cell.arm] * (1 + chance.gauss(0, noise))
                at = 1_700_000_000.0 + len(found)
                found.append(Measurement(number, *cell, at, 1.0, values(cell, speed), busy))
    return found


class Bench:
    """A bench whose cells bring what a test says. `speeds` and `busy` are asked for each cell, in turn."""

    def __init__(self, of: Plan, speeds: Sequence[float], noise: float = 0.002) -> None:
        self.plan, self.speeds, self.noise = of, list(speeds), noise
        self.facts = Facts()
        self.measured: list[Cell] = []
        self.busy: list[float] = []
        self.broken: set[int] = set()
        self.stop_after = 10**9
        self.closed = False
        self._stopping = False
        self._chance = random.Random(2)

    def open(self) -> None:
        self.facts = FACTS

    def shape(self, cell: Cell) -> Any:
        return cell.length

    def measure(self, cell: Cell) -> Measured:
        self.measured.append(cell)
        if len(self.measured) > self.stop_after or self._stopping:
            raise Stopped
        if cell.arm in self.broken:
            raise CellFailedError("MLX ran out of memory.")
        speed = self.speeds[cell.arm] * (1 + self._chance.gauss(0, self.noise))
        return Measured(values(cell, speed), self.busy.pop(0) if self.busy else 0.01)

    def stop(self) -> None:
        self._stopping = True

    def close(self) -> None:
        self.closed = True
