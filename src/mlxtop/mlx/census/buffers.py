"""Which arrays share a buffer, told by sizes alone.

`mx.get_array_buffer_size` (MLX 0.32.3) reads the arrays' own state: it evaluates nothing, waits for nothing
and copies nothing. It tells no addresses. But what `n` arrays with a buffer of their own each take is `n`
times what one takes.
"""

from collections.abc import Callable, Sequence
from typing import Any

Size = Callable[[list[Any]], int]
"""Bytes of the buffers behind all arrays of a list, each buffer counted once."""
Group = list[int]
"""The arrays of one buffer, by their places in the list."""


class Sharing:
    """Groups arrays whose buffers are `each` bytes by the buffer that they share.

    Halves are asked first, and then which buffers of one half are also in the other: one question where none
    is shared, about `n log n` where each is. `tick` is called before each and may raise to end it.
    """

    def __init__(self, arrays: list[Any], each: int, size: Size, tick: Callable[[], None]) -> None:
        self._arrays = arrays
        self._each = each
        self._size = size
        self._tick = tick

    def groups(self) -> list[Group]:
        """The groups in the order of their first arrays."""
        return self._within(range(len(self._arrays)))

    def count(self, places: Sequence[int]) -> int:
        """How many buffers the arrays at those places have."""
        self._tick()
        return self._size([self._arrays[place] for place in places]) // self._each

    def _within(self, places: Sequence[int]) -> list[Group]:
        buffers = self.count(places)
        if buffers == len(places):
            return [[place] for place in places]
        if buffers == 1:
            return [list(places)]
        half = len(places) // 2
        left, right = self._within(places[:half]), self._within(places[half:])
        self._join(left, right)
        return left + [group for group in right if group]

    def _join(self, left: list[Group], right: list[Group]) -> None:
        """Adds the groups on the right whose buffer is also on the left to their like, and empties them."""
        heads = [group[0] for group in (*left, *right)]
        buffers = self.count(heads)
        if buffers == len(heads):
            return
        if len(left) == len(right) == 1:
            left[0] += right[0]
            right[0].clear()
        elif len(left) >= len(right):
            half = len(left) // 2
            self._join(left[:half], right)
            if rest := [group for group in right if group]:
                self._join(left[half:], rest)
        else:
            half = len(right) // 2
            self._join(left, right[:half])
            self._join(left, right[half:])
