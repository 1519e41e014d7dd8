"""What a context's need means against a budget."""

from typing import Literal, NamedTuple

from mlxtop.core.budget import Budget
from mlxtop.fit.extrapolate import Estimate, MemoryEstimate

Word = Literal["fits", "tight", "does not fit", "cannot tell"]
TIGHT = 0.95
"""The share of the budget beyond which there is no room to speak of."""


class Verdict(NamedTuple):
    word: Word
    used: Estimate | None = None
    """What is compared with the budget."""
    headroom: int | None = None
    """Bytes of the budget that are left; negative where it is exceeded."""
    cache_limit: int | None = None
    """Where only MLX's cache is in the way: the cache limit, in bytes, that leaves a twentieth free."""


def judge(need: MemoryEstimate | None, budget: Budget) -> Verdict:
    """`tight`: less than a twentieth is left. `cannot tell`: the budget lies within the error."""
    if need is None:
        return Verdict("cannot tell")
    used = compared(need, budget)
    high, low = used.value + used.margin, used.value - used.margin
    headroom = budget.bytes - used.value
    if high <= budget.bytes:
        return Verdict("fits" if high <= TIGHT * budget.bytes else "tight", used, headroom)
    if need.at_most or low <= budget.bytes:
        return Verdict("cannot tell", used, headroom)
    # What there would be room for beside everything that is not cache.
    limit = round(TIGHT * budget.bytes) - (high - need.total.value + need.active.value)
    return Verdict("does not fit", used, headroom, limit if limit > 0 else None)


def compared(need: MemoryEstimate, budget: Budget) -> Estimate:
    """A device's own memory holds MLX's total; elsewhere the system charges the footprint."""
    if budget.against == "device" or need.footprint is None:
        return need.total
    return max(need.footprint, need.total)
