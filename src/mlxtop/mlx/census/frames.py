"""The variables of the functions that are running, in all threads."""

import sys
import types
from _thread import get_ident
from typing import Any

from mlxtop.mlx.census.foreign import derives, file_name, text

FRAMES: dict[type, str] = {
    types.GeneratorType: "gi_frame",
    types.CoroutineType: "cr_frame",
    types.AsyncGeneratorType: "ag_frame",
}
"""What runs later, and where its frame is."""
_CENSUS = __name__.rpartition(".")[0]
_GUEST = ("mlxtop.agent", "mlxtop.mlx")
"""What stands between a program and MLX: its variables are the program's, which has passed them on."""


def frames() -> list[types.FrameType]:
    """The frames of all threads but the census's own, the outermost of each thread first."""
    found: list[types.FrameType] = []
    tops = sys._current_frames()
    frame: types.FrameType | None = None
    try:
        # This thread's first: it is most often the one that owns MLX.
        for thread in sorted(tops, key=get_ident().__ne__):
            frame = tops[thread]
            stack = []
            while frame is not None:
                if not _module_of(frame).startswith(_CENSUS):
                    stack.append(frame)
                frame = frame.f_back
            found += reversed(stack)
    finally:
        tops.clear()  # it has this function's own frame in it, and would keep itself alive
        frame = None
    return found


def frame_of(thing: Any) -> types.FrameType | None:
    """The frame of a generator or a coroutine, until it ends."""
    name = next(name for cls, name in FRAMES.items() if derives(type(thing), cls))
    frame: types.FrameType | None = getattr(thing, name)
    return frame


def is_guest(frame: types.FrameType) -> bool:
    """Whether it is mlxtop's own, in the watched program."""
    return _module_of(frame).startswith(_GUEST)


def _module_of(frame: types.FrameType) -> str:
    return text(dict.get(frame.f_globals, "__name__"))


def place_of(frame: types.FrameType) -> str:
    code = frame.f_code
    line = frame.f_lineno or code.co_firstlineno
    return f"{file_name(code.co_filename)}:{line} {code.co_name}()"


def passed_from(frame: types.FrameType) -> str:
    """The place in the program from which a frame of mlxtop's has its variables."""
    caller = frame.f_back
    while caller is not None and is_guest(caller):
        caller = caller.f_back
    return place_of(caller) if caller is not None else ""
