"""The variables of a function that is running, read so that nothing of them stays behind."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

CO_OPTIMIZED = 0x1
"""As in `inspect`: the code of a function."""
SNAPSHOTS = sys.version_info < (3, 13)
"""Before PEP 667 a frame keeps the dict that `f_locals` makes."""
ASKS = frozenset(("locals", "vars"))


def variables_of(frame: FrameType) -> dict[str, Any]:
    """The variables of a frame, leaving nothing of them behind in it where that is possible."""
    names = frame.f_locals
    if not frame.f_code.co_flags & CO_OPTIMIZED:
        return dict.copy(names) if type(names) is dict else {}  # a module's or a class's own
    if not SNAPSHOTS:
        return dict(names)
    copy = dict.copy(names)
    # The frame would keep what its variables were until it ends. But if the program called `locals()` it has
    # that dict, and where a tracer runs, what is missing in the dict would be deleted in the function.
    if sys.getrefcount(names) <= 3 and not _is_traced(frame):
        for name in copy:
            names.pop(name, None)
    return copy


def leaves_nothing(frame: FrameType) -> bool:
    """Whether `variables_of` can read a function's frame without a trace."""
    return not SNAPSHOTS or not (_is_traced(frame) or ASKS.intersection(frame.f_code.co_names))


def _is_traced(frame: FrameType) -> bool:
    hooks = [frame.f_trace, sys.gettrace(), sys.getprofile()]
    # Never imported here: the thread that imports it first is taken for the program's main thread.
    if threading := sys.modules.get("threading"):
        hooks += [threading.gettrace(), threading.getprofile()]
    return any(hook is not None for hook in hooks)
