"""What Python's garbage collector frees of MLX's memory, seen from outside: it is not told of us."""

import gc

from mlxtop.core.events import COLLECTOR, GarbageCollected

LEAST = 16 * 2**20
"""Bytes that *active* falls by between two ticks, from which a collection is told of."""
EVERY = 4
"""Ticks from one look at the collector's counts to the next, where *active* does not fall: they cost 2 µs."""
OFTEN = 0.1
"""Share of the looks: a collector that runs more often meets a fall by chance."""


class CollectorWatch:
    """Compares each fall of *active* with the collector's own counts."""

    def __init__(self) -> None:
        self._objects = _collected()
        self._share = 0.0
        """How often the collector freed anything between two looks, of the last hundred or so."""

    def look(self, fell: int = 0) -> GarbageCollected | None:
        """Called every `EVERY` ticks, and when *active* fell by much. Returns a collection that freed it."""
        objects = _collected()
        found, self._objects = objects - self._objects, objects
        self._share += ((found > 0) - self._share) / 100
        if fell >= LEAST and found > 0 and self._share < OFTEN:
            return GarbageCollected(COLLECTOR, found, fell)
        return None


def _collected() -> int:
    """Returns how many objects the collector has freed so far."""
    young, middle, old = gc.get_stats()
    return int(young["collected"] + middle["collected"] + old["collected"])
