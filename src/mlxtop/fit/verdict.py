"""Compares the memory that a context or a training step needs with a budget."""

from typing import Literal, NamedTuple, Protocol

from mlxtop.core.budget import Budget
from mlxtop.fit.extrapolate import Estimate

Word = Literal["fits", "tight", "does not fit", "cannot tell"]
TIGHT = 0.95
"""The share of the budget from which a context fits only tightly."""


class Need(Protocol):
    """The memory that something needs."""

    @property
    def active(self) -> Estimate: ...
    @property
    def total(self) -> Estimate: ...
    @property
    def footprint(self) -> Estimate | None: ...
    @property
    def at_most(self) -> bool: ...


class Verdict(NamedTuple):
    """Whether a context fits, and the numbers for it. Sizes are bytes."""

    word: Word
    used: Estimate | None = None
    """The memory that is compared with the budget."""
    headroom: int | None = None
    """Bytes of the budget that are left; negative where it is exceeded."""
    cache_limit: int | None = None
    """The cache limit, in bytes, with which it would fit and leave a twentieth free; `None` if none helps."""


def judge(need: Need | None, budget: Budget) -> Verdict:
    """`tight`: less than a twentieth is left. `cannot tell`: the margin includes the budget."""
    if need is None:
        return Verdict("cannot tell")
    used = compared(need, budget)
    high, low = used.value + used.margin, used.value - used.margin
    headroom = budget.bytes - used.value
    if high <= budget.bytes:
        return Verdict("fits" if high <= TIGHT * budget.bytes else "tight", used, headroom)
    if need.at_most or low <= budget.bytes:
        return Verdict("cannot tell", used, headroom)
    # The room beside everything that is not cache.
    limit = round(TIGHT * budget.bytes) - (high - need.total.value + need.active.value)
    return Verdict("does not fit", used, headroom, limit if limit > 0 else None)


def compared(need: Need, budget: Budget) -> Estimate:
    """Returns the memory to compare: MLX's total on a device with its own memory, elsewhere the footprint."""
    if budget.against == "device" or need.footprint is None:
        return need.total
    return max(need.footprint, need.total)
