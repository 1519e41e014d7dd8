"""A census in words: who holds a line of it, and why it does not account for all of `active`.

Foreign text is in it: show it through `core.text.one_line`.
"""

from mlxtop.core.census import RANDOM_STATE, Census, Holding, alike

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


def in_graphs(census: Census) -> int:
    """Bytes of the `rest` of a census, where nothing can hold it but graphs of what is not computed."""
    alone = uncomputed(census) and not census.compiled and not census.frozen
    return census.rest if alone and reasons(census) else 0


def label(holding: Holding) -> str:
    """`Scheduler.requests[…].prompt_cache (117 caches)`, `x in train.py:8 step() (2 views: y, z)`."""
    notes = ["only garbage"] if holding.part == "garbage" else []
    if holding.arrays > 1:
        notes.append(_many(holding))
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


def uncomputed(census: Census) -> tuple[Holding, ...]:
    """The holdings whose graphs may hold more than themselves, but for garbage."""
    held = (h for h in census.holdings if not h.computed and h.part != "garbage")
    return tuple(h for h in held if h.holder != RANDOM_STATE)


def _waiting(holdings: tuple[Holding, ...]) -> str:
    names = list(dict.fromkeys(_short(holding) for holding in holdings))
    told, more = ", ".join(names[:NAMED]), len(names) - NAMED
    if more > 0:
        told += f" and {more} more"
    one = sum(holding.arrays for holding in holdings) == 1
    graph, them = ("its graph", "it") if one else ("their graphs", "them")
    when = "before they are kept" if all(holding.part == "kv" for holding in holdings) else "each step"
    return f"{told}: not computed; {graph} may hold it: evaluate {them} {when}"


def _short(holding: Holding) -> str:
    """The name without its place: `accumulated` of `accumulated in train.py:9 step()`."""
    return alike(holding.holder).partition(" in ")[0].partition(": " if holding.part == "kv" else "\n")[0]
