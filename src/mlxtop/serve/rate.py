"""How often one client is answered."""

import time
from collections import OrderedDict
from collections.abc import Callable

A_SECOND, AT_ONCE = 10.0, 20.0
"""Requests that one address may make each second, and in a burst."""
ADDRESSES = 1_024
"""Addresses that are remembered."""


class Rate:
    """A bucket of tokens for each address. `clock` tells monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, address: str) -> bool:
        """Whether a request of that address is answered now."""
        now = self._clock()
        then, left = self._left.pop(address, (now, AT_ONCE))
        left = min(AT_ONCE, left + (now - then) * A_SECOND)
        self._left[address] = now, max(0.0, left - 1.0) if left >= 1.0 else left
        if len(self._left) > ADDRESSES:
            self._left.popitem(last=False)
        return left >= 1.0
