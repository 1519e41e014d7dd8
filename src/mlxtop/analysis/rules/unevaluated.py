"""What a census tells of arrays that are not computed: they keep alive what they are computed from."""

from collections.abc import Mapping

from mlxtop.analysis import thresholds as bar
from mlxtop.analysis.context import DiagnosisContext
from mlxtop.core.census import Census
from mlxtop.core.events import CensusTaken
from mlxtop.core.text import one_line

WAITING = (
    "An array that is not computed keeps everything that it is computed from. Evaluate it in each step: add "
    "it to mx.eval(…), or keep a number instead of it (.item())."
)


def latest(context: DiagnosisContext, start: float) -> Census | None:
    """Returns the last census since `start`; `None` without one."""
    taken = context.events(CensusTaken, start)
    return taken[-1].data.census if taken else None


def unexplained(census: Census, floor: int) -> int | None:
    """Returns the bytes of *active* that no array explains, if they are most of what is above `floor`."""
    left = census.active - sum(census.parts.values())
    return left if left >= max(bar.GROWTH_LEAST, bar.EXPLAINS * (census.active - floor)) else None


def waiting(census: Census) -> Mapping[str, str] | None:
    """Returns the words of a verdict on arrays that are not computed; `None` if there is none.

    They are the first array's holder, and how many others there are.
    """
    holders = list(dict.fromkeys(h.holder for h in census.holdings if not h.computed))
    if not holders:
        return None
    others = {"others": str(len(holders) - 1)} if len(holders) > 1 else {}
    return {"holder": one_line(holders[0]), **others}
