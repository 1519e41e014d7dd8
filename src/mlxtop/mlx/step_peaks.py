"""How high each step rose, while the program sees MLX's peak as if nobody looked.

MLX keeps one peak. It is reset before each step and read after it; what it was is kept here, and
`get_peak_memory` answers with the highest of both. Nothing here waits: what must not be parted by another
thread of Python's is done in one call of C.

References to MLX's functions that were taken before lead past us, and so does C++. Where there is one, and
once the peak was reset past us, MLX's peak is left alone: then only steps that raise it are seen.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from functools import wraps
from operator import call

from mlxtop.mlx import backend
from mlxtop.mlx.replaced import Replaced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

GET, RESET = "get_peak_memory", "reset_peak_memory"
SAMPLER, REPORTER = 0, 1
"""Who takes the highest: the sampler, and what reports to the program's own logger."""
Begun = tuple[int, int, int, bool]
"""A step's number, what was active before it, MLX's peak before it, and whether no other step ran then."""


Rise = tuple[int, int, int, bool]
"""A step in which memory rose: the most that was active, what was active before it, its number (0 for what
rose between two steps), and whether other threads had steps meanwhile: then it is the peak of all of them."""


class StepPeaks:
    """Call `begin` before a step and `end` after it, on the step's thread. Any thread may read.

    `between` is told, on the thread whose step begins, of what rose since the last step ended: work that is
    done by other means than a step. `asked` is told of the function that asks for the program's peak; neither
    may raise.
    """

    def __init__(
        self,
        between: Callable[[Rise], None] = lambda _: None,
        asked: Callable[[FrameType], None] | None = None,
    ) -> None:
        self._mx: Any = backend.load()
        self._between = between
        self._asked = asked
        # Before we have references of our own.
        self.exact = not any(map(_is_referenced, self._functions()))
        """Whether MLX's peak is ours to reset."""
        self._active, self._cache = self._mx.get_active_memory, self._mx.get_cache_memory
        self._peak = getattr(self._mx, GET)
        self._take: tuple[Any, ...] = self._peak, getattr(self._mx, RESET)
        self.least = 0
        """Bytes that a step must exceed to be told."""
        self._replaced = Replaced()
        self._below: StepPeaks | None = None
        self._kept: list[int] = []
        """What MLX's peak was when we reset it: the highest counts. Empty after the program's own reset."""
        self._number = 0
        self._turn = 0
        """Counts the beginnings and ends of resets: between two equal readings MLX's peak only rises."""
        self._last = (-1, 0, 0)
        """At the end of the last step: the turn, MLX's peak, what was active."""
        self._high = 0
        """The most that was active since anybody took it."""
        self._untaken = [0, 0]
        """And what either reader has not taken of what the other took: the sampler, and who reports."""
        self._taken = (-1, 0)
        """When it was last taken: the turn, MLX's peak."""
        self.begin_process()

    def begin_process(self) -> None:
        """Forgets the steps of other threads: a fork's child has none of them."""
        self._inside: dict[int, int] = {}
        """The steps that are under way, by thread."""

    def install(self) -> None:
        """Wraps MLX's functions, and their deprecated likes in `mx.metal`."""
        global installed
        self._below, installed = installed, self
        wrap = {GET: self._wrap_get, RESET: self._wrap_reset}
        for module, name in self._functions():
            self._replaced.put(module, name, wrap[name](getattr(module, name)))

    def remove(self) -> None:
        """Gives MLX its own functions back. Their peak counts from the last reset of MLX's on.

        Where somebody else stands in our place by now, it stays there; what is left of us tells MLX's peak,
        until that is removed, too.
        """
        _unlink(self)
        self._replaced.give_back()
        self._kept.clear()
        # Whoever comes after us looks whether MLX's functions are referenced. Nobody asks us any more.
        self._peak, self._take = self._active, ()

    def _functions(self) -> list[tuple[Any, str]]:
        return [(m, name) for m in (self._mx, self._mx.metal) for name in (GET, RESET) if hasattr(m, name)]

    # What others read

    def read(self) -> tuple[int, int, int]:
        """Active, cache and the program's own peak, in bytes."""
        return self._active(), self._cache(), self.peak()

    def peak(self) -> int:
        """The program's own peak in bytes."""
        # MLX's first: what a step takes from it meanwhile is in `_kept` by then.
        return max([self._look(), *self._kept])

    def sample(self) -> tuple[int, int, int, int]:
        """As `read` and `take_high` together, in half of the time. One thread calls it."""
        active, cache, turn = self._active(), self._cache(), self._turn
        now = self._look()
        self._taken = turn, now
        return active, cache, max([now, *self._kept]), self._take_high(SAMPLER)

    def take_high(self, reader: int = SAMPLER) -> int:
        """The most that was active since this was last called for that reader, in bytes; 0 if nobody knows.

        One thread calls it for each.
        """
        turn = self._turn
        now = self._look()
        self._taken = turn, now
        return self._take_high(reader)

    def _take_high(self, reader: int) -> int:
        high, self._high = self._high, 0
        untaken, other = self._untaken, 1 - reader
        if high > untaken[other]:
            untaken[other] = high
        high, untaken[reader] = max(high, untaken[reader]), 0
        return high

    def look(self) -> tuple[int, int]:
        """A number that changes whenever MLX's peak is reset, and MLX's peak since then, in bytes."""
        return self._turn, self._look()

    def restart(self) -> bool:
        """Has MLX's peak begin anew, unseen by the program. False where that would be seen, or would take
        a step's peak from it: then nothing is done."""
        if not self.exact or self._inside:
            return False
        self._look()
        self._reset()
        self._floor(True)
        return True

    def reset(self) -> None:
        """Resets MLX's peak in any case, at a moment without a step.

        The program goes on to see its own, but by references to MLX's functions that it took before.
        """
        self._look()
        self._reset()
        self._last = self._turn, 0, self._active()

    # Steps

    def begin(self) -> Begun | None:
        """A step begins; `end` takes the result. `None` for one inside another, as in a signal's handler."""
        ident, inside = get_ident(), self._inside
        if ident in inside and _is_inside_a_step():
            return None
        number = self._number = self._number + 1
        inside[ident] = number
        # Whoever finds another one here leaves MLX's peak alone: one thread at a time resets it.
        alone = len(inside) == 1
        before = self._look()
        if alone:
            turn, top, floor = self._last
            if before > max(top, floor, self.least) and turn == self._turn:
                self._between((before, floor, 0, False))
            if before and self.exact:
                self._reset()
                before = 0
        return number, self._floor(alone), before, alone

    def end(self, begun: Begun | None) -> Rise | None:
        """The step is over. `None` where memory did not rise above `least`, or nobody knows."""
        if begun is None:
            return None
        number, floor, before, alone = begun
        self._inside.pop(get_ident(), None)
        turn = self._turn
        top = self._look()
        self._last = turn, top, self._active()
        if top <= before or top <= floor or top <= self.least:
            return None
        return top, floor, number, not alone or number != self._number

    def _reset(self) -> None:
        kept = self._kept
        taken = filter(None, map(call, self._take))
        self._turn += 1
        # It reads and resets now, in one call: no thread of Python's comes in between.
        kept.extend(taken)
        self._turn += 1
        # In place, and never from a copy: the program may reset its peak meanwhile.
        kept.sort()
        del kept[:-1]

    def _floor(self, alone: bool) -> int:
        """What is active before a step."""
        kept, floor = self._kept, int(self._active())
        # MLX's own threads may have allocated between the read and the reset: what they still hold is seen.
        # Once anything was allocated, the peak is never below what is active.
        if alone and kept and floor > kept[-1]:
            kept.append(floor)
        return floor

    def _look(self) -> int:
        """MLX's peak since the last reset, whoever reset it."""
        turn, (last, top, _) = self._turn, self._last
        now = int(self._peak())
        if now < top and turn == last == self._turn:
            # Somebody reset it past us, a C++ library say: from here on MLX's peak is the program's.
            self.exact = False
            self._kept.clear()
        then, known = self._taken
        if now > self._high and (turn != then or now > known):
            self._high = now
        return now

    def _wrap_get(self, function: Any) -> Any:
        asked = self._asked

        @wraps(function)
        def wrapper() -> int:
            # The deprecated ones say so.
            now = int(function())
            if not self._replaced:
                return now
            if asked is not None:
                asked(sys._getframe(1))
            return self.peak()

        return wrapper

    def _wrap_reset(self, function: Any) -> Any:
        both = function, self._kept.clear

        @wraps(function)
        def wrapper() -> None:
            if not self._replaced:
                function()
                return
            self._look()
            self._turn += 1
            # In one call of C, as above.
            tuple(map(call, both))
            self._turn += 1

        return wrapper


installed: StepPeaks | None = None
"""Those of this process, the last that were installed."""
own: StepPeaks | None = None
"""Those that `current` has made: nobody resets them at each step."""


def current() -> StepPeaks:
    """The agent's where there is one, else some of our own. Raises `NoBackendError`.

    Ours stay: MLX has no way to set its peak to what it was.
    """
    global own
    if installed is None:
        own = StepPeaks()
        own.install()
        return own
    return installed


def _unlink(peaks: StepPeaks) -> None:
    global installed
    if installed is peaks:
        installed = peaks._below
        return
    above = installed
    while above is not None and above._below is not peaks:
        above = above._below
    if above is not None:
        above._below = peaks._below


_PROBE = {"unreferenced": object()}


def _is_referenced(place: tuple[Any, str]) -> bool:
    """Whether somebody beside its module has a reference to a function: `from mlx.core import` takes one."""
    module, name = place
    return sys.getrefcount(vars(module)[name]) > sys.getrefcount(_PROBE["unreferenced"])


def _is_inside_a_step() -> bool:
    """Whether the code that calls `begin` has called it on this stack before: it has not, where an exception
    ended that step before its `end`."""
    frame = sys._getframe(2)
    code, outer = frame.f_code, frame.f_back
    while outer is not None and outer.f_code is not code:
        outer = outer.f_back
    return outer is not None
