"""Reading what is of unknown origin: whole numbers, JSON, and single values within bounds."""

from __future__ import annotations

from mlxtop.core.limits import LIMIT_NAMES, LimitName
from mlxtop.core.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_DIGITS = 18
"""So many fit into 64 bits; `int` itself refuses text of thousands of digits by another error."""
LATEST = 1e10
"""Seconds: beyond it the calendar ends."""
HUGE = 1e300
"""Beyond it a number is as good as infinite."""


def whole(text: str) -> int | None:
    """The whole number that `text` is in ASCII digits, else `None`: `str.isdigit` is true of `²`, too."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS else None


def parse_json(text: str | bytes | bytearray) -> Any:
    """`json.loads` for text of unknown origin. Raises `ValueError`, also for too deep a nesting."""
    # Imported here: the agent, which imports this file, has no use for it.
    import json

    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def text(value: object, most: int) -> str:
    """On one line, safe to show, at most so many letters. Raises `ValueError` for what is no text."""
    if not isinstance(value, str):
        raise ValueError("a text was expected")
    return one_line(" ".join(value[:most].splitlines()))


def count(value: object, least: int = 0, end: int = 2**62) -> int:
    """A whole number from `least` to below `end`. Raises `ValueError`."""
    if type(value) is not int or not least <= value < end:
        raise ValueError("a whole number within bounds was expected")
    return value


def size(value: object) -> int:
    """Bytes. Raises `ValueError`."""
    return count(value, 0, 2**63)


def difference(value: object) -> int | None:
    """Bytes more or less; `None` where nobody knows. Raises `ValueError`."""
    return None if value is None else count(value, -(2**63), 2**63)


def seconds(value: object) -> float:
    """A time, or a rate. Raises `ValueError`."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= LATEST:
        raise ValueError("a number within bounds was expected")
    return float(value)


def finite(value: object) -> float | None:
    """A number of either sign; `None` is one that was not finite. Raises `ValueError`."""
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not -HUGE <= value <= HUGE:
        raise ValueError("a finite number was expected")
    return float(value)


def truth(value: object) -> bool:
    """Raises `ValueError` for what is neither true nor false."""
    if not isinstance(value, bool):
        raise ValueError("true or false was expected")
    return value


def limit_name(value: object) -> LimitName:
    """Raises `ValueError` for what is none of MLX's limits."""
    for name in LIMIT_NAMES:
        if value == name:
            return name
    raise ValueError("a limit's name was expected")
