"""A census in words: who holds a line of it, and why it does not account for all of `active`.

Foreign text is in it: show it through `core.text.one_line`.
"""

from collections.abc import Sequence

from mlxtop.core.census import RANDOM_STATE, Census, Holding, alike
from mlxtop.core.units import format_span

LITTLE = 0.005
"""A share of `active` that needs no reason."""
NAMED = 2
"""How many holders of arrays that are not computed are named."""


def reasons(census: Census) -> tuple[str, ...]:
    """What may hold the `rest` of a census, likeliest first. Empty where little is left, or time ran out."""
    if census.rest < LITTLE * census.active or not census.rest or not census.whole:
        return ()
    found = []
    if waiting := uncomputed(census):
        found.append(_waiting(waiting))
    if census.compiled:
        functions = "compiled function" if census.compiled == 1 else "compiled functions"
        found.append(f"{census.compiled:,} {functions} may keep constants, which cannot be seen")
    if census.frozen:
        found.append(f"gc.freeze() hides {census.frozen:,} objects")
    return tuple(found) or ("held outside of Python, or by what its collector does not know",)


def rest_in_graphs(census: Census) -> bool:
    """Whether nothing can hold the `rest` of a census but graphs of what is not computed."""
    alone = uncomputed(census) and not census.compiled and not census.frozen
    return bool(alone and reasons(census))


def graphs(census: Census) -> str:
    """Who holds arrays whose graphs alone have more than a little of *active*, and what to do."""
    much = LITTLE * census.in_graphs
    held = [h for h in census.holdings if h.graphs and h.nbytes > much and h.holder != RANDOM_STATE]
    if not held or census.in_graphs <= LITTLE * census.active:
        return ""
    one = len(held) == held[0].graphs == 1
    graph = "its graph has" if one else "their graphs have"
    return f"{_names(held)}: not computed; {graph} it: evaluate {_when(held, one)}"


def label(holding: Holding) -> str:
    """`Store.kept[…] (117 caches; oldest at least 12m)`, `x in train.py:8 step() (2 views: y, z)`."""
    notes = ["only garbage"] if holding.part == "garbage" else []
    if holding.arrays > 1:
        notes.append(_many(holding))
    if holding.age is not None and holding.age >= 1:
        notes.append(_age(holding.age, holding.owners))
    if holding.graphs:
        notes.append(_graphs(holding.graphs))
    if holding.views:
        more = holding.view_count - len(holding.views)
        names = ", ".join((*holding.views, *([f"{more:,} more"] if more > 0 else ())))
        notes.append(f"{holding.view_count:,} view{'' if holding.view_count == 1 else 's'}: {names}")
    return f"{holding.holder} ({'; '.join(notes)})" if notes else holding.holder


def _many(holding: Holding) -> str:
    if holding.owners and " keeps " not in holding.holder:
        return "1 cache" if holding.owners == 1 else f"{holding.owners:,} caches"
    if holding.owners > 1:
        return f"{holding.owners:,} times"
    return f"{holding.arrays:,} arrays"


def _age(age: float, caches: int) -> str:
    at_least = f"at least {format_span(int(age - age % 60) if age >= 60 else int(age))}"
    return f"oldest {at_least}" if caches > 1 else f"{at_least} old"


def _graphs(count: int) -> str:
    return "by the graph of 1 not computed" if count == 1 else f"by graphs of {count:,} not computed"


def uncomputed(census: Census) -> tuple[Holding, ...]:
    """The holdings whose graphs may hold more than themselves, but for garbage."""
    held = (h for h in census.holdings if not h.computed and h.part != "garbage")
    return tuple(h for h in held if h.holder != RANDOM_STATE)


def _waiting(held: Sequence[Holding]) -> str:
    one = sum(holding.arrays for holding in held) == 1
    graph = "its graph" if one else "their graphs"
    return f"{_names(held)}: not computed; {graph} may hold it: evaluate {_when(held, one)}"


def _names(held: Sequence[Holding]) -> str:
    names = list(dict.fromkeys(map(_short, held)))
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _when(held: Sequence[Holding], one: bool) -> str:
    when = "before they are kept" if all(holding.part == "kv" for holding in held) else "each step"
    return f"{'it' if one else 'them'} {when}"


def _short(holding: Holding) -> str:
    """The name without its place: `accumulated` of `accumulated in train.py:9 step()`."""
    return alike(holding.holder).partition(" in ")[0].partition(": " if holding.part == "kv" else "\n")[0]
