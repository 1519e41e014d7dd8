"""Reading text of unknown origin: whole numbers and JSON."""

import json
from typing import Any

MOST_DIGITS = 18
"""So many fit into 64 bits; `int` itself refuses text of thousands of digits by another error."""


def whole(text: str) -> int | None:
    """The whole number that `text` is in ASCII digits, else `None`: `str.isdigit` is true of `²`, too."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS else None


def parse_json(text: str | bytes | bytearray) -> Any:
    """`json.loads` for text of unknown origin. Raises `ValueError`, also for too deep a nesting."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
