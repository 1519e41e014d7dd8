"""A census of the live arrays in this process: which part each belongs to, and who holds it.

It runs inside somebody else's program, so it runs none of that program's code: it asks the garbage collector
what exists and what refers to what (`heap`, `frames`), reads names through the interpreter's own descriptors
(`foreign`), gives every array a part and a holder (`survey`), and tells which only garbage holds (`garbage`).
No array is evaluated, nothing is collected meanwhile (`collector`). What only a graph of operations holds is
found by copies of MLX's own records, without a call of MLX's that would recurse (`graphs`).
"""

import gc
import sys
import time

from mlxtop.mlx.collector import HeldOff

# Importing `typing` makes enough objects for the collector to run.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from mlxtop.core.census import Census

BUDGET, BUDGET_MOST = 0.25, 4.0
"""Seconds of processor time for a first census, and for the longest."""


INTERPRETER = 1_000
"""More objects than Python freezes itself (3.12: 375), and fewer than a program has that imported MLX."""


def longer(found: "Census", budget: float) -> float:
    """The time to give the next census, when `found` was given `budget`: a person who asks again can wait."""
    return budget if found.whole else min(BUDGET_MOST, 4 * budget)


def take(budget: float = BUDGET) -> "Census":
    """The arrays alive now: weights, KV caches, optimizer state and the rest, each array counted once.

    `budget` is in seconds of this thread's processor time; at its end `whole` is False and what was found so
    far is returned. When time ran out before every array was placed, those without a place are left out; when
    it ran out after that, they are `other` and some holders are `—`. May be called in any thread; it holds
    the GIL most of the time, so call it at a safe point. Raises nothing; without MLX everything is 0.

    Not seen: arrays that only C++ holds (a compiled function's constants), what is far down in a very large
    graph, and objects that `gc.freeze()` hid.
    """
    began, used, now = time.perf_counter(), time.thread_time(), time.time()
    active = _active()
    # What is first imported here makes enough objects for the collector to run.
    with HeldOff():
        return _take(budget, active, began, used, now)


def _take(budget: float, active: int, began: float, used: float, now: float) -> "Census":
    from dataclasses import replace

    from mlxtop.core.census import Census
    from mlxtop.mlx.census.foreign import class_of
    from mlxtop.mlx.census.survey import Survey

    array = class_of("mlx.core", "array")
    if array is None:
        return Census(active=0, time=now)
    whole = True
    objects = gc.get_objects()  # before there is anything of the census's own to find
    survey = Survey(array, budget, used)
    try:
        survey.run(objects)
    except Exception:
        # Out of time, or an object stranger than any thought of here: what was found until then holds.
        whole = False
    found = survey.result(active)
    whole = whole and found.whole
    after = _active()
    return replace(
        found,
        active=max(
            active, found.accounted + found.in_flight
        ),  # another thread of the program may have computed meanwhile
        in_flight=found.in_flight + max(0, active - max(after, found.accounted + found.in_flight)),
        whole=whole,
        frozen=_frozen(),
        seconds=time.perf_counter() - began,
        time=now,
    )


def _frozen() -> int:
    count = gc.get_freeze_count()
    return count if count > INTERPRETER else 0


def _active() -> int:
    try:
        return int(sys.modules["mlx.core"].get_active_memory())
    except Exception:
        return 0
