"""What a test reads of MLX's memory."""

import time
from types import FrameType

import pytest

from mlxtop.core.units import format_size
from mlxtop.mlx import peak_watch
from mlxtop.mlx.hooks import Place, outside
from mlxtop.mlx.peak_watch import PeakWatch, Window
from mlxtop.pytest_plugin.marks import PeakLimit, read_size

Stack = tuple[Place, ...]
"""Who called MLX, the innermost first."""
Watch = PeakWatch[Stack]
DEPTH = 20
"""How many places of a stack are kept."""


def stack(frame: FrameType) -> Stack:
    """The lines outside of mlxtop that led to `frame`."""
    found: list[Place] = []
    at: FrameType | None = outside(frame)
    while at is not None and len(found) < DEPTH:
        found.append((at.f_code.co_filename, at.f_lineno))
        at = at.f_back
    return tuple(found)


class Measurement:
    """MLX's memory from a beginning on. Sizes are bytes.

    While the block runs the values are those of now; after its end they stay as they were then.
    """

    def __init__(self, watch: Watch, limit: PeakLimit | None = None) -> None:
        self._watch = watch
        self.window: Window[Stack] = watch.open()
        if limit is not None:
            self.window.alarm = limit.highest(self.start)
        self._end: tuple[int, int, float] | None = None
        self._began = time.perf_counter()

    @property
    def start(self) -> int:
        """What was active at the beginning."""
        return self.window.start

    @property
    def peak(self) -> int:
        """The most by which active memory rose over `start`."""
        return self.peak_absolute - self.start

    @property
    def peak_absolute(self) -> int:
        """The most that was active."""
        if self._end is None:
            self._watch.look()
        return self.window.peak

    @property
    def growth(self) -> int:
        """What is active now, or was at the end, minus `start`."""
        return (self._watch.active() if self._end is None else self._end[0]) - self.start

    @property
    def cache(self) -> int:
        """What MLX keeps in freed buffers for reuse now, or kept at the end."""
        return self._watch.cache() if self._end is None else self._end[1]

    @property
    def seconds(self) -> float:
        """How long it takes so far, or took."""
        return time.perf_counter() - self._began if self._end is None else self._end[2]

    def finish(self) -> None:
        """Ends it: waits for MLX's work, and collects garbage if more is active than at the start."""
        seconds = time.perf_counter() - self._began
        active = peak_watch.settle_to(self.start)
        self._watch.close(self.window)
        self._end = active, self._watch.cache(), seconds


class MlxMemory(Measurement):
    """The fixture `mlx_memory`: MLX's memory since the beginning of the test's body, in bytes.

    In other fixtures, before the body, it counts from where `mlx_memory` was set up.
    """

    @property
    def active(self) -> int:
        """What is active now."""
        return self._watch.active()

    def measure(self) -> "Block":
        """Measures a `with` block. It begins and ends when MLX's work is done and garbage is collected."""
        return Block(self._watch, None)

    def limit(self, size: str | int, absolute: bool = False) -> "Block":
        """Measures a `with` block as `measure` does, and fails the test if its peak is higher than `size`.

        `size` is a number of bytes or text like `1.5GiB`. It counts from what is active at the beginning of
        the block; with `absolute` it is all that may be active. Raises `UsageError` if it is no size.
        """
        allowed = read_size(size, "mlx_memory.limit")
        source = f"mlx_memory.limit allows {format_size(allowed)}"
        return Block(self._watch, PeakLimit(allowed, absolute, source))

    def restart(self) -> None:
        """The test's body begins."""
        self._watch.close(self.window)
        self.window, self._began = self._watch.open(), time.perf_counter()


class Block:
    """A `with` block that is measured."""

    def __init__(self, watch: Watch, limit: PeakLimit | None) -> None:
        self._watch, self._limit = watch, limit

    def __enter__(self) -> Measurement:
        peak_watch.settle()
        self._measured = Measurement(self._watch, self._limit)
        return self._measured

    def __exit__(self, error: object, *_: object) -> None:
        __tracebackhide__ = True
        measured, limit = self._measured, self._limit
        measured.finish()
        if error is None and limit is not None and measured.peak_absolute > limit.highest(measured.start):
            from mlxtop.pytest_plugin import failure

            pytest.fail(failure.over_peak(limit, measured))
