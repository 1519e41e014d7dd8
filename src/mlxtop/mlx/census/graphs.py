"""The buffers that only graphs of what is not computed hold.

mlx-lm's server keeps a request's KV cache as `mx.contiguous(slice)`, never evaluated: no Python object is
left of the batch's keys, of which that is a slice. A graph may be deep: it is gone through with a list of
what is left to do, not by recursion. Nothing is written, evaluated or kept alive.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from mlxtop.mlx.census.graph_layout import Known, Layout, Pointer, inputs, itemsize, learn, pointer, shape_of
from mlxtop.mlx.census.own_memory import OwnMemory, Unreadable

SAMPLES = 48
"""From about how many arrays of each kind the layout is learned."""
_STEPS = 64


class Buffer(NamedTuple):
    """A buffer in graphs, by the array that has it there."""

    nbytes: int
    """Where a buffer does not tell its size, what that array covers of it."""
    shape: tuple[int, ...]
    dtype: str
    roots: set[int]
    """Whose graphs lead to it, by their places."""


def buffers(
    array: type, waiting: Sequence[Known], computed: Sequence[Known], is_over: Callable[[float], bool]
) -> list[Buffer]:
    """The buffers that graphs of `waiting` hold, and none of `computed`, largest first.

    `array` is MLX's class. Empty where this MLX keeps them otherwise than those that we know, or the system
    copies no memory. `is_over(share)` tells whether that share of the time is over: what is found until then
    is returned.
    """
    memory = None
    try:
        memory = OwnMemory()
        layout = learn(memory, [*_empty(array), *_some(computed), *_some(waiting)])
        if layout is None:
            return []
        found = _Graphs(memory, layout, is_over).buffers(waiting, computed)
        return sorted(found, key=lambda buffer: -buffer.nbytes)
    except Exception:
        # Whatever is strange here costs this answer, and not the census.
        return []
    finally:
        if memory is not None:
            memory.close()


def _empty(array: type) -> list[Known]:
    """Arrays that are computed: a program may have none. They take no memory and need no stream."""
    return [Known(array([]), (0,), 0, "float32", computed=True) for _ in range(4)]


def _some(arrays: Sequence[Known]) -> Iterable[Known]:
    some = islice(arrays, 0, None, max(1, len(arrays) // SAMPLES))
    return (known for known in some if known.nbytes)


class _Graphs:
    """`is_over` is asked each `_STEPS` arrays."""

    def __init__(self, memory: OwnMemory, layout: Layout, is_over: Callable[[float], bool]) -> None:
        self._memory = memory
        self._layout = layout
        self._is_over = is_over

    def buffers(self, waiting: Sequence[Known], computed: Sequence[Known]) -> list[Buffer]:
        """Asked twice: a thread of the program may have evaluated one while we looked."""
        first = self._found(waiting, 0.4)
        named = self._named(computed) if first else None
        if named is None:
            return []
        self._memory.forget()
        again = self._found(waiting, 1.0)
        return [
            found
            for data, found in again.items()
            if data not in named and data in first and first[data].nbytes == found.nbytes
        ]

    def _named(self, computed: Sequence[Known]) -> set[int] | None:
        """The addresses of the buffers that Python objects have; `None` where there was no time for all."""
        found = set()
        for i, known in enumerate(computed):
            if i % _STEPS == 0 and self._is_over(0.6):
                return None
            at = pointer(self._memory, known.array)
            found.add(self._memory.words(at.thing + 8 * self._layout.data, 1)[0])
        return found

    def _found(self, waiting: Sequence[Known], share: float) -> dict[int, Buffer]:
        """The buffers by their addresses, as far as there was time."""
        found: dict[int, Buffer] = {}
        seen: set[int] = set()
        steps = 0
        for root, known in enumerate(waiting):
            left = [pointer(self._memory, known.array)]
            while left:
                at = left.pop()
                if at.thing in seen:
                    continue
                steps += 1
                if steps % _STEPS == 0 and self._is_over(share):
                    return found
                words = self._words(at)
                if not words:
                    continue
                if words[self._layout.data]:
                    # Not put down as seen: another array may lead to it, too.
                    self._add(found, root, words)
                else:
                    seen.add(at.thing)
                    left += inputs(self._memory, self._layout, words)
        return found

    def _words(self, at: Pointer) -> Sequence[int]:
        """A description; empty where there is none, or a thread of the program has just dropped it."""
        layout = self._layout
        counts = layout.control // 8
        try:
            words = self._memory.words(at.control, counts + layout.inputs + 3)
        except Unreadable:
            return ()
        is_one = at.thing - at.control == layout.control and layout.is_alive(words)
        return words[counts:] if is_one else ()

    def _add(self, found: dict[int, Buffer], root: int, words: Sequence[int]) -> None:
        layout = self._layout
        data, kind = words[layout.data], words[layout.size + 1]
        covered = words[layout.data + 3] * itemsize(kind)
        known = found.get(data)
        if known is None or known.nbytes < covered:
            shape = shape_of(self._memory, layout.shape, words)
            dtype = layout.dtypes.get(kind & 0xFFFFFFFF, "")
            nbytes = max(covered, self._room(data))
            found[data] = known = Buffer(nbytes, shape, dtype, known.roots if known else set())
        known.roots.add(root)

    def _room(self, data: int) -> int:
        """Bytes of a buffer; 0 where it does not tell."""
        place = self._layout.room
        if place is None:
            return 0
        try:
            buffer = self._memory.words(data, 1)[0]
            return self._memory.words(buffer + 8 * place, 1)[0]
        except Unreadable:
            return 0
