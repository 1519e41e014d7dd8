"""Recognises the forms of a reading in a stream of bytes, mixed with any other text."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from mlxtop.core.parsing import parse_json
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.text import plain
from mlxtop.follow import forms
from mlxtop.follow.forms import Field, Pattern, origin_of
from mlxtop.follow.lines import Lines
from mlxtop.follow.readings import NOBODY, Item, Origin, Reading
from mlxtop.follow.thinning import thinned

SIGNS = ("mlxtop", "Memory", "Peak", "Active:", "Cache:", "size:", '"type"', '{"log"', "rowth", "elta", "iff")
"""A line without any of these is text: nothing else is looked for in it."""
NEAR = 2
"""Lines between a title and the block it stands over."""
MOST_BLOCKS = 256
"""Unfinished blocks that are kept, of so many processes in one stream."""
SNAPSHOT = frozenset(("peak", "active", "cache"))


class _Block:
    """A snapshot of mlx-swift that is not complete yet."""

    def __init__(self, growth: bool, stamp: float | None) -> None:
        self.growth = growth
        self.stamp = stamp
        self.values: dict[str, int] = {}
        self.lines: list[str] = []


class Parser:
    """Takes bytes as they come; gives readings, events and text in their order.

    A half line waits for its other half, a block for its last line. Of samples that come faster than a
    session keeps them the highest are given. `encoding`: of a stream that is not read from its beginning.
    """

    def __init__(self, patterns: Sequence[Pattern] = (), encoding: str | None = None) -> None:
        self._lines = Lines(encoding)
        self._patterns = tuple(patterns)
        self._number = 0
        """Lines until now."""
        self._blocks: dict[Origin, _Block] = {}
        self._titled: dict[Origin, int] = {}
        """The line of the last title of a difference, by who printed it."""
        self._speaker = NOBODY
        """Whose the last block is: NSLog names the process on the first line of a text only."""
        self._memory_size: tuple[int, int] | None = None
        """A memory limit and its line: the cache limit is expected under it."""

    def feed(self, data: bytes) -> list[Item]:
        """What `data` completes."""
        text = self._lines.feed(data)
        return list(self._parse(text if self._patterns else thinned(text, _is_sample)))

    def finish(self) -> list[Item]:
        """What is left when nothing more comes: a line without an end, blocks without their last line."""
        items = list(self._parse(self._lines.finish()))
        for origin, block in self._blocks.items():
            items += _close(origin, block)
        self._blocks.clear()
        return items

    def _parse(self, text: str) -> Iterator[Item]:
        shown = counted = 0
        for start, end in self._candidates(text):
            self._number += text.count("\n", counted, start)
            counted = start
            found = self._line(plain(text[start:end]).rstrip("\r\n"))
            if found is None:
                continue
            items, is_text = found
            items = [_stamped(item, text[start:end]) for item in items]
            if shown < start:
                yield text[shown:start]
            shown = start if is_text else end
            yield from items
        self._number += text.count("\n", counted)
        if shown < len(text):
            yield text[shown:]

    def _candidates(self, text: str) -> list[tuple[int, int]]:
        """Where the lines begin and end that may tell something."""
        if self._patterns:
            return _all_lines(text)
        ends: dict[int, int] = {}
        for sign in SIGNS:
            at = text.find(sign)
            while at >= 0:
                start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at) + 1 or len(text)
                ends[start] = end
                at = text.find(sign, end)
        return sorted(ends.items())

    def _line(self, line: str) -> tuple[list[Item], bool] | None:
        """What a line tells, and whether it is text as well; `None` if it is nothing but text."""
        for pattern in self._patterns:
            if reading := pattern.read(line):
                return [reading], False
        if (at := line.find('{"log"')) >= 0 and (inner := _docker(line, at)) is not None:
            # A line of a log that docker keeps.
            return self._line(inner) or ([inner + "\n"], False)
        if sign := forms.SIGN.search(line):
            documented = forms.documented(line, sign.end(), origin_of(line[: sign.start()]))
            return None if documented is None else ([documented], False)
        if '"type"' in line and (at := line.find("{")) >= 0:
            own = forms.own_json(line, at, origin_of(line[:at]))
            if own is not None:
                return [own], False
        if found := forms.fields(line):
            return self._fields(line, found), False
        return self._other(line)

    def _other(self, line: str) -> tuple[list[Item], bool] | None:
        if peak := forms.mlx_lm(line):
            return [Reading(origin_of(line[: peak[1]]), peak=peak[0])], True
        if size := forms.MEMORY_SIZE.search(line):
            self._memory_size = int(size[1]) * 1024, self._number
        elif (size := forms.CACHE_SIZE.search(line)) and self._memory_size is not None:
            memory, number = self._memory_size
            self._memory_size = None
            if self._number - number <= NEAR:
                limits = Reading(
                    origin_of(line[: size.start()]), cache_limit=int(size[1]) * 1024, memory_limit=memory
                )
                return [limits], True
        elif title := forms.GROWTH.search(line):
            origin = origin_of(line[: title.start()])
            self._titled[origin] = self._number
            if len(self._titled) > MOST_BLOCKS:
                del self._titled[next(iter(self._titled))]
        return None

    # Snapshots of mlx-swift

    def _fields(self, line: str, found: list[Field]) -> list[Item]:
        items: list[Item] = []
        origin = origin_of(line[: found[0].start])
        if origin is NOBODY:
            origin = self._speaker if self._speaker in self._blocks else NOBODY
        self._speaker = origin
        text: str | None = line + "\n"
        behind = 0
        for field in found:
            block = self._blocks.get(origin)
            if block is not None and (field.begins or field.name in block.values):
                # The next snapshot began before this one was complete: its numbers are true nevertheless.
                items += _close(origin, self._blocks.pop(origin))
                block = None
            if block is None:
                growth = bool(forms.GROWTH.search(line[behind : field.start].rstrip(' "{:=[\\')))
                block = self._begin(origin, growth, forms.stamp_of(line[: field.start]))
            if text is not None:
                block.lines.append(text)
                text = None
            block.values[field.name] = field.value
            behind = field.start
            if block.values.keys() == SNAPSHOT:
                items += _close(origin, self._blocks.pop(origin))
        return items

    def _begin(self, origin: Origin, growth: bool, stamp: float | None) -> _Block:
        titled = self._titled.pop(origin, None)
        if titled is None and origin is not NOBODY:
            titled = self._titled.pop(NOBODY, None)
        near = titled is not None and self._number - titled <= NEAR
        block = self._blocks[origin] = _Block(growth or near, stamp)
        if len(self._blocks) > MOST_BLOCKS:
            del self._blocks[next(iter(self._blocks))]
        return block


@lru_cache(16)
def _is_sample(text: str) -> bool:
    """Whether these lines are one sample, and nothing else."""
    found = list(Parser()._parse(text))
    return len(found) == 1 and isinstance(found[0], Reading) and found[0].mark is None


def _close(origin: Origin, block: _Block) -> list[Item]:
    """A finished block as a reading. A difference, which may be negative, is text."""
    if block.growth or not all(0 <= value < forms.MOST for value in block.values.values()):
        return list(block.lines)
    active, cache, peak = (block.values.get(name, UNKNOWN) for name in ("active", "cache", "peak"))
    return [Reading(origin, active=active, cache=cache, peak=peak, stamp=block.stamp)]


def _stamped(item: Item, line: str) -> Item:
    if isinstance(item, Reading) and item.stamp is None and (stamp := forms.stamp_of(line)) is not None:
        return item._replace(stamp=stamp)
    return item


def _docker(line: str, at: int) -> str | None:
    """The line that docker's file of JSON lines (`{"log":"…"}`) keeps; `None` for another object."""
    try:
        found = parse_json(line[at:])
    except ValueError:
        return None
    inner = found.get("log") if isinstance(found, dict) else None
    return line[:at] + inner.rstrip("\r\n") if isinstance(inner, str) else None


def _all_lines(text: str) -> list[tuple[int, int]]:
    places, start = [], 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        places.append((start, end))
        start = end
    return places
