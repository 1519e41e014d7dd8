"""What a census tells of arrays that are not computed: they keep alive what they are computed from."""

from collections.abc import Mapping, Sequence

from mlxtop.analysis import thresholds as bar
from mlxtop.analysis.context import DiagnosisContext
from mlxtop.core.census import Census
from mlxtop.core.census_text import LITTLE
from mlxtop.core.events import CensusTaken
from mlxtop.core.text import one_line

WAITING = (
    "An array that is not computed keeps everything that it is computed from. Evaluate it in each step: add "
    "it to mx.eval(…), or keep a number instead of it (.item())."
)

NAMED, LISTED = 2, 10
"""Holders that are named in a line, and in advice."""


def telling(context: DiagnosisContext, start: float) -> Census | None:
    """Returns the census since `start` that found arrays not computed whose graphs may hold the most."""
    taken = [event.data.census for event in context.events(CensusTaken, start)]
    return max(taken, key=lambda census: (bool(holders(census)), _held(census)), default=None)


def agreed(context: DiagnosisContext, start: float, floor: int, rise: float) -> Census | None:
    """Returns the census of a growth since `start` whose graphs may hold least; `None` without any.

    One that comes before a step finds what that step is to evaluate: what stays is in all of them.
    """
    taken = [event.data.census for event in context.events(CensusTaken, start)]
    high = [census for census in taken if census.active - floor >= bar.TELLS * rise]
    return min(high or taken, key=_held, default=None)


def unexplained(census: Census, floor: int, rise: float) -> int | None:
    """Returns the bytes of *active* that graphs hold or no array explains, if they are most of what is above
    `floor`.

    `rise` is how far *active* goes above it. A census near the floor tells nothing of that.
    """
    left, above = _held(census), max(census.active - floor, bar.TELLS * rise)
    return left if left >= max(bar.GROWTH_LEAST, bar.EXPLAINS * above) else None


def holders(census: Census) -> list[str]:
    """Returns who holds arrays that are not computed: those whose graphs are known to hold much, or else
    variables first, then what has no name."""
    much = LITTLE * census.in_graphs
    known = [held.holder for held in census.holdings if held.graphs and held.nbytes > much]
    if known:
        return list(dict.fromkeys(map(one_line, known)))
    found = dict.fromkeys(one_line(held.holder) for held in census.holdings if not held.computed)
    return sorted(found, key=lambda holder: " in " not in holder or " of " in holder)


def _held(census: Census) -> int:
    return census.rest + census.in_graphs


def told(found: Sequence[str]) -> tuple[Mapping[str, str], str]:
    """Returns the words of a verdict on these holders, and advice."""
    names = [name.partition(" in ")[0] for name in found[:NAMED]]
    others = {"others": str(len(found) - NAMED)} if len(found) > NAMED else {}
    return {"holder": " or ".join(names), **others}, f"{WAITING} Not computed: {'; '.join(found[:LISTED])}."
