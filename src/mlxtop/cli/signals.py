"""Signal handlers. A signal that was ignored when mlxtop started stays ignored, as `nohup` expects."""

import signal
from collections.abc import Callable, Iterable
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a command to end."""


def catch(handler: Callable[[int, FrameType | None], object], numbers: Iterable[int] = ENDING) -> None:
    """Installs `handler` for each of `numbers` that is not ignored."""
    for number in heeded(numbers):
        signal.signal(number, handler)


def heeded(numbers: Iterable[int]) -> list[int]:
    """Those of `numbers` that are not ignored."""
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
