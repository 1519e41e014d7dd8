"""The forms of a reading on one line. None of them has a state; `parser` puts blocks together."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from mlxtop.core import event_json
from mlxtop.core.errors import UsageError
from mlxtop.core.events import KINDS, Event
from mlxtop.core.parsing import count, parse_json, seconds, text
from mlxtop.follow.readings import NOBODY, Begun, Origin, Reading, Reported

NAME = 80
"""Characters of a name that are kept."""
MIB = 2**20
MOST = 2**62
EVENTS = frozenset(KINDS.values()) - {"budget", "system", "end", "facts", "census", "done"}
"""The events of mlxtop's own JSON that a followed session takes."""

# Who printed a line: NSLog, journald, `log stream`, idevicesyslog; docker compose; kubectl logs --prefix.
_PROCESS = re.compile(r"(?:^|\s)([\w.+@-]{1,80})(?:\([^)]{0,80}\))?\[(\d{1,9})(?::[\w]{1,20})?\]")
_OS_LOG = re.compile(r"0x[0-9a-f]+\s+\w+\s+0x[0-9a-f]+\s+(\d{1,9})\s+\d+\s+([^:\s]{1,80}):")
_CONTAINER = re.compile(r"^(\S{1,80})\s+\|")
_POD = re.compile(r"^\[(pod/[^\]\s]{1,80})\]")


def origin_of(prefix: str) -> Origin:
    """Who printed a line, from what stands before its form."""
    if not prefix or prefix.isspace():
        return NOBODY
    if found := _OS_LOG.search(prefix):
        return Origin(text(found[2], NAME), int(found[1]))
    if found := _PROCESS.search(prefix):
        return Origin(text(found[1], NAME), int(found[2]))
    if found := _CONTAINER.search(prefix) or _POD.search(prefix):
        return Origin(text(found[1], NAME))
    return NOBODY


# NSLog, `log stream`, journald's short-iso, docker and kubectl with their option for it.
_STAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z| ?[+-]\d\d:?\d\d)?")
BEFORE = 80
"""Characters of a line among which its date and time are looked for."""


def stamp_of(line: str) -> float | None:
    """When a line says it was written; local time if it names no zone. `None` without a whole date."""
    found = _STAMP.search(line, 0, BEFORE)
    if found is None:
        return None
    try:
        return seconds(datetime.fromisoformat(found[0].replace(" +", "+").replace(" -", "-")).timestamp())
    except (ValueError, OverflowError):
        return None


# mlx-swift's `Memory.Snapshot`: its description, three lines of a block, and its JSON


class Field(NamedTuple):
    """One of the three numbers of a snapshot. `start` is where it stands in its line."""

    name: str
    value: int
    start: int
    begins: bool = False
    """Whether a snapshot begins with it, as a printed one does with its peak."""


_FIELD = re.compile(
    r"(Peak|Active|Cache):\s+(-?\d{1,19})([KM])\s+\((-?\d{1,19})\)"
    r'|\\?"(peak|active|cache)Memory\\?"\s*:\s*(-?\d{1,19})(?![\d.eE])'
)


def fields(line: str) -> list[Field]:
    """The numbers of mlx-swift's snapshots in a line, in their order."""
    found = []
    for match in _FIELD.finditer(line):
        word, shown, unit, exact, key, value = match.groups()
        if key is not None:
            found.append(Field(key, int(value), match.start()))
        elif scaled(int(exact)) == shown + unit:
            found.append(Field(word.lower(), int(exact), match.start(), word == "Peak"))
    return found


def scaled(size: int) -> str:
    """A size as mlx-swift shows it: whole MiB above 10 MiB, else whole KiB, both cut towards zero."""
    unit, name = (MIB, "M") if size > 10 * MIB else (1024, "K")
    whole = abs(size) // unit
    return f"{-whole if size < 0 else whole}{name}"


GROWTH = re.compile(r"\b(?:growth|delta|difference|diff)\b[^\w]*(?:memory[^\w]*)?$", re.IGNORECASE)
"""What stands over a block, or before an object, that is a difference and no reading."""
MEMORY_SIZE = re.compile(r"Memory size:\s+(\d{1,16})K\s*$")
CACHE_SIZE = re.compile(r"Cache size:\s+(\d{1,16})K\s*$")
"""The limits as mlx-swift's guide prints them, in KiB."""

# mlx-lm: `Peak memory: 1.234 GB` after a generation, `Peak mem 1.234 GB` in LoRA's reports. A GB is 10⁹.
_PEAK = re.compile(r"\bPeak mem(?:ory)?:?\s+(\d{1,6}(?:\.\d{1,6})?) ?GB\b")


def mlx_lm(line: str) -> tuple[int, int] | None:
    """The peak in bytes that a line of mlx-lm tells, and where it stands."""
    found = _PEAK.search(line)
    return None if found is None else (round(float(found[1]) * 1e9), found.start())


# One object a line

SIGN = re.compile(r"\bmlxtop:? ?(?=\{)")
"""What stands before the object of the documented line."""
_SIZES = {
    "active": "active", "cache": "cache", "peak": "peak", "footprint": "footprint", "available": "available",
    "tokens": "tokens", "weights": "weights", "kv": "kv", "cacheLimit": "cache_limit",
    "memoryLimit": "memory_limit",
}  # fmt: skip
_OWN = "active cache peak footprint tokens steps decode weights kv high buffers"
_OWN_SIZES = {name: name for name in _OWN.split()}
_DOCUMENTED_WORDS = frozenset(("phase", "mark", "device"))
_OWN_WORDS = frozenset(("phase",))


def documented(line: str, start: int, prefix: Origin) -> Reading | None:
    """The reading of a line `mlxtop {…}` whose object begins at `start`; `None` if it tells nothing."""
    data = _object(line, start)
    return None if data is None else _reading(data, prefix, _SIZES, _DOCUMENTED_WORDS, "t")


def own_json(line: str, start: int, prefix: Origin) -> Reading | Reported | Begun | None:
    """What a line of `mlxtop --json` tells; `None` for the summary and for what is none."""
    data = _object(line, start)
    if data is None:
        return None
    match data.get("type"):
        case "sample" if "active" in data or "peak" in data:
            return _reading(data, prefix, _OWN_SIZES, _OWN_WORDS, "time")
        case "event":
            return _event(data, _origin(data, prefix))
        case "session":
            return Begun(_origin(data, prefix), _word(data.get("model")) or _word(data.get("title")))
    return None


def _reading(
    data: Mapping[str, object], prefix: Origin, sizes: Mapping[str, str], words: frozenset[str], clock: str
) -> Reading | None:
    """The known fields of an object whose values are what they should be; `None` without any."""
    named: dict[str, object] = {}
    for key, value in data.items():
        if (name := sizes.get(key)) is not None:
            if (type(value) is int and 0 <= value < MOST) or (value := _whole(value)) is not None:
                named[name] = value
        elif key in words and (word := _word(value)):
            named[key] = word
    if not named:
        return None
    at = data.get(clock)
    if at is not None:
        with suppress(ValueError):
            named["time"] = seconds(at)
    return Reading(_origin(data, prefix), **named)  # type: ignore[arg-type]


def _event(data: Mapping[str, object], origin: Origin) -> Reported | None:
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in EVENTS:
        return None
    try:
        found = event_json.from_json(kind, data)
        return None if found is None else Reported(origin, Event(seconds(data.get("time")), found))
    except ValueError:
        return None


def _object(line: str, start: int) -> dict[str, object] | None:
    # What follows the object on its line is not ours: a quote, a bracket of a log.
    try:
        found = parse_json(line[start : line.rfind("}") + 1])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _whole(value: object) -> int | None:
    """A size that a language without whole numbers printed."""
    return int(value) if isinstance(value, float) and value.is_integer() and 0 <= value < 2**53 else None


def _word(value: object) -> str:
    return _cleaned(value[:NAME]) if isinstance(value, str) else ""


@lru_cache(1024)
def _cleaned(word: str) -> str:
    return text(word, NAME).strip()


def _origin(data: Mapping[str, object], prefix: Origin) -> Origin:
    if "session" not in data and "pid" not in data:
        return prefix
    pid = prefix.pid
    if "pid" in data:
        try:
            pid = count(data["pid"], 0, 2**31)
        except ValueError:
            pid = None
    return Origin(_word(data.get("session")) or prefix.name, pid)


# A pattern that a person gives

_UNITS = {
    "b": 1, "bytes": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30,
}  # fmt: skip
_GAUGES = ("active", "cache", "peak", "footprint", "available")
_WORDS = ("phase", "mark", "session")


class Pattern:
    """A regular expression whose groups name what they find: `active_mb`, `cache`, `phase`, `t`.

    Raises `UsageError` for one that is none, and for groups that name nothing known.
    """

    def __init__(self, expression: str) -> None:
        try:
            self._expression = re.compile(expression)
        except re.error as error:
            raise UsageError(f"--pattern is no regular expression: {error}.") from error
        self._sizes: dict[str, tuple[str, int]] = {}
        for group in self._expression.groupindex:
            name, _, unit = group.partition("_")
            if name in _GAUGES and (unit or "b") in _UNITS:
                self._sizes[group] = name, _UNITS[unit or "b"]
            elif group not in (*_WORDS, "t", "pid"):
                raise UsageError(
                    f"--pattern has a group '{group}': name it active, cache, peak, footprint or "
                    "available, with a unit (_kb, _mb, _gb, _kib, _mib, _gib) or in bytes; or t, pid, phase, "
                    "mark, session."
                )
        if not self._expression.groupindex:
            raise UsageError("--pattern needs a named group: 'active=(?P<active_mb>[\\d.]+)'.")

    def read(self, line: str) -> Reading | None:
        """What the pattern finds in a line; `None` if it does not match or finds no number."""
        found = self._expression.search(line)
        if found is None:
            return None
        groups = {name: value for name, value in found.groupdict().items() if value}
        named: dict[str, object] = {}
        for group, (name, unit) in self._sizes.items():
            try:
                size = round(float(groups[group].replace(",", "")) * unit)
            except (KeyError, ValueError, OverflowError):
                continue
            if 0 <= size < MOST:
                named[name] = size
        for name in ("phase", "mark"):
            if word := _word(groups.get(name)):
                named[name] = word
        if not named:
            return None
        with suppress(KeyError, ValueError):
            named["time"] = seconds(float(groups["t"]))
        prefix = origin_of(line[: found.start()])
        name = _word(groups.get("session")) or prefix.name
        pid = (
            int(groups["pid"])
            if groups.get("pid", "").isdecimal() and len(groups["pid"]) < 10
            else prefix.pid
        )
        return Reading(Origin(name, pid), **named)  # type: ignore[arg-type]
