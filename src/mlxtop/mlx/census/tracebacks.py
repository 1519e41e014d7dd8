"""Frames that are over and still alive: the traceback of an exception that somebody keeps has them."""

import types
from collections.abc import Iterable, Iterator
from typing import Any

TRACEBACK: Any = vars(BaseException)["__traceback__"]
DEEPEST = 1_000
"""How many frames of one traceback are looked at."""


def dead_frames(exceptions: Iterable[Any], running: set[int]) -> Iterator[tuple[Any, types.FrameType]]:
    """Each exception with the frames of its traceback that are not `running` (ids), outermost first."""
    for exception in exceptions:
        link: types.TracebackType | None = TRACEBACK.__get__(exception)
        for _ in range(DEEPEST):
            if link is None:
                break
            if id(link.tb_frame) not in running:
                yield exception, link.tb_frame
            link = link.tb_next
