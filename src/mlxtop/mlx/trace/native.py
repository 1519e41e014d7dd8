"""The library in C, by ctypes: what its header `native/trace.h` declares."""

import ctypes
from functools import cache
from pathlib import Path

from mlxtop.core.record import Record

ABSENT = (
    "This mlxtop was built without its part in C: install a wheel of it, or a C compiler and mlxtop again."
)


LONG = ("refusal", "start", "settle", "stop")


class TraceCounters(Record):
    """A trace so far: bytes that are active and the most there were, live buffers that were seen to be
    allocated, allocations, events, and allocations that found no room among the live ones."""

    active: int = 0
    peak: int = 0
    buffers: int = 0
    allocations: int = 0
    events: int = 0
    lost: int = 0


class _Counters(ctypes.Structure):
    _fields_ = [
        ("active", ctypes.c_int64),
        ("peak", ctypes.c_uint64),
        ("buffers", ctypes.c_int64),
        ("allocations", ctypes.c_uint64),
        ("events", ctypes.c_uint64),
        ("lost", ctypes.c_uint64),
        ("walks_checked", ctypes.c_uint64),
        ("walks_different", ctypes.c_uint64),
    ]

    def record(self) -> TraceCounters:
        return TraceCounters(self.active, self.peak, self.buffers, self.allocations, self.events, self.lost)


def path() -> str:
    """Where the library lies, or would lie."""
    return str(Path(__file__).with_name("libmlxtop_trace.so"))


@cache
def load() -> ctypes.CDLL | None:
    """The library, once and for good: nothing may unload what MLX calls.
    `None` where there is none, or one of another version of mlxtop."""
    try:
        # Most calls take less time than giving up the GIL and taking it again.
        library = ctypes.PyDLL(path())
        patient = ctypes.CDLL(path())
        for name in LONG:
            setattr(library, f"mlxtop_trace_{name}", getattr(patient, f"mlxtop_trace_{name}"))
        _declare(library)
    except (OSError, AttributeError):
        return None
    return library


def _declare(library: ctypes.CDLL) -> None:
    number, text = ctypes.c_uint64, ctypes.c_char_p
    for name, result, arguments in (
        ("refusal", text, ()),
        ("start", text, (text, number, number, text, text, ctypes.c_size_t)),
        ("settle", ctypes.c_int, (ctypes.POINTER(ctypes.c_int64),)),
        ("stop", None, (ctypes.POINTER(_Counters),)),
        ("is_on", ctypes.c_int, ()),
        ("read", None, (ctypes.POINTER(_Counters),)),
        ("text", ctypes.c_uint32, (text, ctypes.c_size_t)),
        ("begin", number, (ctypes.c_uint32, number)),
        ("end", None, (number,)),
        ("phase", None, (ctypes.c_uint32,)),
        ("inspect", ctypes.c_int, (text, ctypes.POINTER(number), ctypes.POINTER(number))),
    ):
        function = getattr(library, f"mlxtop_trace_{name}")
        function.restype, function.argtypes = result, arguments


def read(library: ctypes.CDLL) -> TraceCounters:
    """The counters of the trace that runs; all 0 where none does."""
    counters = _Counters()
    library.mlxtop_trace_read(ctypes.byref(counters))
    return counters.record()


def settle(library: ctypes.CDLL) -> int | None:
    """What MLX's sum of active bytes had more than the trace's, which is made even.
    `None` where its threads left no moment to compare them."""
    difference = ctypes.c_int64()
    return difference.value if library.mlxtop_trace_settle(ctypes.byref(difference)) else None


def stop(library: ctypes.CDLL) -> TraceCounters:
    """Ends the trace and returns its last counters."""
    counters = _Counters()
    library.mlxtop_trace_stop(ctypes.byref(counters))
    return counters.record()


def walks(library: ctypes.CDLL) -> tuple[int, int]:
    """How many walks over the stack were made again in full, and how many of these gave another answer."""
    counters = _Counters()
    library.mlxtop_trace_read(ctypes.byref(counters))
    return counters.walks_checked, counters.walks_different


def inspect(library: ctypes.CDLL, path: str) -> tuple[int, int] | None:
    """What a library of MLX's has for any system: how many functions of operations, and how many of the eight
    functions that a trace needs. `None` where it has no symbols."""
    operations, functions = ctypes.c_uint64(), ctypes.c_uint64()
    failed = library.mlxtop_trace_inspect(path.encode(), ctypes.byref(operations), ctypes.byref(functions))
    return None if failed else (operations.value, functions.value)
