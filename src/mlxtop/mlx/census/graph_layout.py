"""Where MLX's arrays keep what they are made of, learned from arrays of which Python tells the answers.

MLX's C++ class `array` is a shared pointer to a description: shape, type, the buffer once it is computed, and
the inputs until then. Python has no function that tells the inputs, but the exports, which recurse. So each
field is looked for where it has the right value in every array that we know; one that is not found ends it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from mlxtop.mlx.census.own_memory import OwnMemory, Unreadable

WORDS = 52
"""How far a description is looked at: MLX 0.32's has 46 words of eight bytes."""
MOST_INPUTS = 1_024
_HEADER: int = object.__basicsize__
_CONTROLS = (16, 24)
"""Bytes before a description in which is counted who shares it: libstdc++'s and libc++'s."""
_MOST_TABLES = 4
"""How many libraries may have made an array."""


class Known(NamedTuple):
    """An array, and what Python tells of it."""

    array: Any
    shape: tuple[int, ...]
    nbytes: int
    """What its shape stands for."""
    dtype: str
    buffer: int = 0
    """Bytes of its buffer."""
    computed: bool = True


class Pointer(NamedTuple):
    """A shared pointer, as it lies in memory."""

    thing: int
    control: int


class Layout(NamedTuple):
    """Places in a description, in words."""

    control: int
    """Bytes from the counts to the description."""
    tables: frozenset[int]
    """What the counts of all descriptions begin with."""
    shape: int
    size: int
    """Followed by the type."""
    data: int
    """Followed by an offset, and by how many elements of the buffer the array covers."""
    inputs: int
    dtypes: dict[int, str]
    room: int | None = None
    """Where a buffer tells its size, in words. Metal's does not."""

    def is_alive(self, counts: Sequence[int]) -> bool:
        """Whether the counts are those of a description that somebody has."""
        return counts[0] in self.tables and _is_shared(counts[1], self.control)


class _Sample(NamedTuple):
    known: Known
    words: tuple[int, ...]
    counts: tuple[int, ...]
    control: int


def pointer(memory: OwnMemory, array: Any) -> Pointer:
    """What a Python array, which the caller keeps alive, points at. Raises `Unreadable`."""
    offset = memory.words(id(array) + _HEADER, 1)[0] & 0xFFFFFFFF
    if not _HEADER < offset <= 256 or offset % 8:
        raise Unreadable
    return Pointer(*memory.words(id(array) + offset, 2))


def learn(memory: OwnMemory, known: Iterable[Known]) -> Layout | None:
    """The layout that is right for all of `known`, of which some are computed and some are not."""
    samples = list(_samples(memory, known))
    controls = {sample.control for sample in samples}
    tables = frozenset(sample.counts[0] for sample in samples)
    if len(controls) != 1 or not controls <= set(_CONTROLS) or len(tables) > _MOST_TABLES:
        return None
    control = controls.pop()
    shape = _place(samples, lambda at, sample: _has_shape(memory, at, sample))
    size = _place(samples, _has_size)
    data = _place(samples, _has_data)
    if data is not None and _place(samples, _has_data, data + 1) is not None:
        return None
    if shape is None or size is None or data is None or not any(sample.known.shape for sample in samples):
        return None
    dtypes = {sample.words[size + 1] & 0xFFFFFFFF: sample.known.dtype for sample in samples}
    layout = Layout(control, tables, shape, size, data, 0, dtypes)
    for at in range(data + 4, WORDS - 2):
        candidate = layout._replace(inputs=at)
        if _are_inputs(memory, candidate, samples):
            return candidate._replace(room=_room(memory, data, samples))
    return None


def inputs(memory: OwnMemory, layout: Layout, words: Sequence[int]) -> Iterator[Pointer]:
    """What an array is computed from, as far as it is alive."""
    begin, end, room = words[layout.inputs : layout.inputs + 3]
    if not 0 < begin < end <= room or (end - begin) % 16 or end - begin > 16 * MOST_INPUTS:
        return
    found = memory.words(begin, (end - begin) // 8)
    yield from map(Pointer, found[::2], found[1::2])


def shape_of(memory: OwnMemory, at: int, words: Sequence[int]) -> tuple[int, ...]:
    """The shape whose sizes, of four bytes each, lie between two addresses. Raises `Unreadable`."""
    begin, end = words[at : at + 2]
    count, odd = divmod(end - begin, 4)
    if not begin or odd or not 0 <= count <= 64:
        raise Unreadable
    found = memory.words(begin, (count + 1) // 2) if count else ()
    return tuple(half for word in found for half in (word & 0xFFFFFFFF, word >> 32))[:count]


def itemsize(dtype: int) -> int:
    """Bytes an element, by the word that tells the type."""
    return dtype >> 32 & 0xFF


def _samples(memory: OwnMemory, known: Iterable[Known]) -> Iterator[_Sample]:
    for one in known:
        try:
            thing, control = pointer(memory, one.array)
            yield _Sample(one, memory.words(thing, WORDS), memory.words(control, 2), thing - control)
        except Unreadable:
            continue  # the array of another library's making


def _is_shared(counts: int, control: int) -> bool:
    """libstdc++ counts from one, in four bytes; libc++ from zero, in eight."""
    return 0 < counts & 0xFFFFFFFF < 2**31 if control == _CONTROLS[0] else counts < 2**31


def _room(memory: OwnMemory, data: int, samples: list[_Sample]) -> int | None:
    """Where buffers tell their sizes. Two sizes at least, or it may be anything."""
    known = [sample for sample in samples if sample.known.buffer]
    sizes = [sample.known.buffer for sample in known]
    if len(set(sizes)) < 2:
        return None
    try:
        found = [memory.words(memory.words(sample.words[data], 1)[0], WORDS) for sample in known]
    except Unreadable:
        return None
    return next((at for at in range(WORDS) if [words[at] for words in found] == sizes), None)


def _place(samples: list[_Sample], is_there: Callable[[int, _Sample], bool], start: int = 0) -> int | None:
    places = range(start, WORDS - 4)
    return next((at for at in places if all(is_there(at, sample) for sample in samples)), None)


def _has_shape(memory: OwnMemory, at: int, sample: _Sample) -> bool:
    try:
        return shape_of(memory, at, sample.words) == sample.known.shape
    except Unreadable:
        return False


def _has_size(at: int, sample: _Sample) -> bool:
    size = 1
    for length in sample.known.shape:
        size *= length
    return sample.words[at] == size and size * itemsize(sample.words[at + 1]) == sample.known.nbytes


def _has_data(at: int, sample: _Sample) -> bool:
    thing, control = sample.words[at : at + 2]
    if not sample.known.computed:
        return thing == control == 0
    return thing != 0 and thing - control == sample.control


def _are_inputs(memory: OwnMemory, layout: Layout, samples: list[_Sample]) -> bool:
    """Whether arrays that are computed have none, and others have arrays."""
    some = False
    for sample in samples:
        begin, end, room = sample.words[layout.inputs : layout.inputs + 3]
        if sample.known.computed and not begin == end <= room:
            return False
        try:
            found = list(inputs(memory, layout, sample.words))
            some = some or any(layout.is_alive(memory.words(one.control, 2)) for one in found)
        except Unreadable:
            return False
    return some
