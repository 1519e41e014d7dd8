"""How old KV caches are at least: nothing tells when one was made, so the first census that saw it counts."""

import time
import weakref
from typing import Any

MOST = 4_096
"""How many caches are remembered from one census to the next."""
_seen: dict[int, tuple[weakref.ref[Any], float]] = {}
"""Of each cache of the last census, by its id: the cache, which this does not keep alive, and when it was
seen first, in seconds of the monotonic clock."""


def of(caches: dict[int, Any]) -> dict[int, float]:
    """Seconds since each of `caches` was seen first, by the same keys; without those that are new.

    Remembers them, and forgets all others.
    """
    now = time.monotonic()
    seen, ages = {}, {}
    # Those that are known come first, or new ones would push out the oldest.
    for key, cache in sorted(caches.items(), key=lambda pair: id(pair[1]) not in _seen)[:MOST]:
        known, since = _seen.get(id(cache), (None, now))
        if known is not None and known() is cache:
            ages[key] = now - since
            seen[id(cache)] = known, since
            continue
        try:
            seen[id(cache)] = weakref.ref(cache), now
        except TypeError:
            continue  # its class has slots, and none for weak references
    _seen.clear()
    _seen.update(seen)
    return ages
