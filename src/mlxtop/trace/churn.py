"""Churn: the bytes that each operation allocates in a step, whether or not they are freed at once."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mlxtop.trace import layout
from mlxtop.trace.composition import Part, parts_of
from mlxtop.trace.moments import Moments


class Step(NamedTuple):
    """A whole step of the ring. `begin` and `end` are places in it, times are nanoseconds."""

    number: int
    begin: int
    end: int
    begin_ns: int
    end_ns: int
    thread: int
    context: int
    """The id of a string."""


@dataclass(frozen=True, slots=True)
class Churn:
    """What the `steps` whole steps of the ring allocated together, by operation."""

    steps: int
    operations: list[Part]

    def to_json(self) -> dict[str, Any]:
        return {"steps": self.steps, "operations": [part._asdict() for part in self.operations]}


def whole_steps(moments: Moments) -> list[Step]:
    """The steps whose beginning and end the ring holds, in the order of their ends."""
    events, found = moments.ring.events, []
    places = np.flatnonzero((events["kind"] == layout.STEP_BEGINS) | (events["kind"] == layout.STEP_ENDS))
    begun: dict[tuple[int, int], tuple[int, int, int]] = {}
    for place, (time, number, _, context, thread, kind, _) in zip(
        places.tolist(), events[places].tolist(), strict=True
    ):
        if not number:
            # A layer's call.
            continue
        if kind == layout.STEP_BEGINS:
            begun[thread, number] = place, time, context
        elif begin := begun.pop((thread, number), None):
            found.append(Step(number, begin[0], place, begin[1], time, thread, begin[2]))
    return found


def churn(moments: Moments) -> Churn | None:
    """What is allocated in a step, on average. None where the ring holds no whole step."""
    steps = whole_steps(moments)
    if not steps:
        return None
    span = moments.ring.events[min(step.begin for step in steps) : max(step.end for step in steps)]
    made = span[span["kind"] == layout.ALLOCATED]
    count = len(moments.sites)
    sizes = np.bincount(made["site"], made["size"].astype(np.float64), count).astype(np.int64)
    operations = parts_of(
        sizes, np.bincount(made["site"], minlength=count), moments.sites, lambda site: site.name
    )
    return Churn(len(steps), operations)
