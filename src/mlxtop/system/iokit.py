"""The utilization of a Mac's GPU: the property `PerformanceStatistics` of IOKit's service IOAccelerator.

<IOKit/IOKitLib.h>, <CoreFoundation/CFDictionary.h>, <CoreFoundation/CFNumber.h>; it needs no root. The names
in the property are the driver's and in no header. Not tested on a Mac yet.
"""

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

_FRAMEWORKS = "/System/Library/Frameworks"
_UTF8 = 0x08000100
_SINT64 = 4
_OBJECT, _REF = ctypes.c_uint32, ctypes.c_void_p
"""io_object_t is a Mach port; a CFTypeRef is a pointer."""


@lru_cache(maxsize=1)
def reader() -> Callable[[], float | None] | None:
    """Returns a function that reads the utilization of the busiest GPU, 0 to 1; `None` if unavailable."""
    try:
        io, cf = _IOKit(), _CoreFoundation()
    except (OSError, AttributeError):
        return None
    # These objects are never released.
    services = io.services(b"IOAccelerator")
    statistics, busy = cf.text(b"PerformanceStatistics"), cf.text(b"Device Utilization %")
    if not services or not statistics or not busy:
        return None

    def read() -> float | None:
        found = [_busy(io, cf, service, statistics, busy) for service in services]
        return max((share for share in found if share is not None), default=None)

    return read


def _busy(io: "_IOKit", cf: "_CoreFoundation", service: int, statistics: int, busy: int) -> float | None:
    property = io.property(service, statistics, None, 0)
    if not property:
        return None
    try:
        percent = cf.number(property, busy)
    finally:
        cf.release(property)
    return percent / 100 if percent is not None and 0 <= percent <= 100 else None


class _IOKit:
    """The used functions of <IOKit/IOKitLib.h>. Raises `OSError` or `AttributeError` without IOKit."""

    def __init__(self) -> None:
        library = ctypes.CDLL(f"{_FRAMEWORKS}/IOKit.framework/IOKit")
        self._matching = _call(library.IOServiceMatching, _REF, ctypes.c_char_p)
        self._find = _call(
            library.IOServiceGetMatchingServices, ctypes.c_int, _OBJECT, _REF, ctypes.POINTER(_OBJECT)
        )
        self._next = _call(library.IOIteratorNext, _OBJECT, _OBJECT)
        self._release = _call(library.IOObjectRelease, ctypes.c_int, _OBJECT)
        self.property = _call(
            library.IORegistryEntryCreateCFProperty, _REF, _OBJECT, _REF, _REF, ctypes.c_uint32
        )

    def services(self, name: bytes) -> list[int]:
        """Returns the services of a class. The caller owns them."""
        matching, iterator = self._matching(name), _OBJECT()
        # The call releases the dictionary. 0 is the default port.
        if not matching or self._find(0, matching, ctypes.byref(iterator)):
            return []
        found = list(iter(lambda: self._next(iterator), 0))
        self._release(iterator)
        return found


class _CoreFoundation:
    """The used functions of CoreFoundation. Raises `OSError` or `AttributeError` without it."""

    def __init__(self) -> None:
        library = ctypes.CDLL(f"{_FRAMEWORKS}/CoreFoundation.framework/CoreFoundation")
        self._text = _call(library.CFStringCreateWithCString, _REF, _REF, ctypes.c_char_p, ctypes.c_uint32)
        self._type = _call(library.CFGetTypeID, ctypes.c_ulong, _REF)
        self._get = _call(library.CFDictionaryGetValue, _REF, _REF, _REF)
        self._value = _call(library.CFNumberGetValue, ctypes.c_ubyte, _REF, ctypes.c_long, _REF)
        self.release = _call(library.CFRelease, None, _REF)
        self._dictionary = _call(library.CFDictionaryGetTypeID, ctypes.c_ulong)()
        self._number = _call(library.CFNumberGetTypeID, ctypes.c_ulong)()

    def text(self, value: bytes) -> int | None:
        """Returns a CFString. The caller owns it."""
        found: int | None = self._text(None, value, _UTF8)
        return found

    def number(self, dictionary: int, key: int) -> int | None:
        """Returns the integer at `key`; `None` if this is no dictionary or that is no number."""
        if self._type(dictionary) != self._dictionary:
            return None
        found, value = self._get(dictionary, key), ctypes.c_int64()
        if not found or self._type(found) != self._number:
            return None
        return value.value if self._value(found, _SINT64, ctypes.byref(value)) else None


def _call(function: Any, result: Any, *arguments: Any) -> Callable[..., Any]:
    function.restype, function.argtypes = result, list(arguments)
    call: Callable[..., Any] = function
    return call
