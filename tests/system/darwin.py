"""C functions of macOS as real C functions of this process: what calls them must pass arguments of the right
width, in the right order, or they see other numbers."""

import ctypes
from collections.abc import Callable
from typing import Any

GIB = 2**30
PAGE = 16384
INT, U, L, UL, U8, U64, P, S = (
    ctypes.c_int, ctypes.c_uint32, ctypes.c_long, ctypes.c_ulong, ctypes.c_ubyte, ctypes.c_uint64,
    ctypes.c_void_p, ctypes.c_char_p,
)  # fmt: skip


class Library:
    """What `ctypes.CDLL` returns: each function by its name, with nothing known of its arguments."""

    def __init__(self, **functions: tuple[Callable[..., Any], Any]) -> None:
        self._kept = {name: prototype(function) for name, (function, prototype) in functions.items()}
        for name, callback in self._kept.items():
            kind = type(name, (ctypes._CFuncPtr,), {"_flags_": 1, "_restype_": ctypes.c_int})
            setattr(self, name, kind(ctypes.cast(callback, P).value))


def put(address: int, kind: Any, value: int) -> None:
    kind.from_address(address).value = value


class Mac:
    """A Mac's answers; each may be changed, and `without` names functions and sysctls that it lacks."""

    def __init__(self, *without: str) -> None:
        self.without = without
        self.page = PAGE
        self.count = 38
        self.thermal = 2
        self.gpus = {0x10B: 97}
        self.kinds = {"dictionary": 18, "number": 22, "text": 7}
        self.sysctls: dict[bytes, bytes] = {
            b"vm.swapusage": b"".join(n.to_bytes(8, "little") for n in (3 * GIB, GIB, 2 * GIB))
            + PAGE.to_bytes(4, "little") + (1).to_bytes(4, "little"),
            b"kern.memorystatus_vm_pressure_level": (4).to_bytes(4, "little"),
            b"iogpu.wired_limit_mb": (24_000).to_bytes(4, "little"),
            b"kern.osproductversion": b"15.5\0",
            b"kern.osversion": b"24F74\0",
        }  # fmt: skip
        self.held: dict[int, object] = {}
        """Objects that somebody must release, by their reference."""
        self.hosts = self.registered = 0
        self._next = 0x7FFF_0000_1000

    # CDLL(None)

    def sysctlbyname(self, name, into, size, new, length):
        value = self.sysctls.get(name)
        if value is None or name.decode() in self.without or new or length:
            return -1
        if UL.from_address(size).value < len(value):
            return -1
        ctypes.memmove(into, value, len(value))
        put(size, UL, len(value))
        return 0

    def mach_host_self(self):
        self.hosts += 1
        return 0x903

    def host_statistics64(self, host, flavor, into, count):
        if (host, flavor) != (0x903, 4) or U.from_address(count).value < self.count:
            return 4
        # By <mach/vm_statistics.h>: free, active, inactive, wire; the compressor's pages at byte 128.
        for offset, pages in ((0, 1_000), (4, 2_000), (8, 3_000), (12, 4_000), (128, 5_000)):
            put(into + offset, U, pages)
        put(count, U, self.count)
        return 0

    def notify_register_check(self, name, token):
        self.registered += 1
        put(token, INT, 7)
        return 0 if name == b"com.apple.system.thermalpressurelevel" else 1

    def notify_get_state(self, token, state):
        put(state, U64, self.thermal)
        return 0 if token == 7 else 2

    # IOKit and CoreFoundation

    def _make(self, thing: object) -> int:
        self._next += 0x1000
        self.held[self._next] = thing
        return self._next

    def IOServiceMatching(self, name):
        return self._make(name)

    def IOServiceGetMatchingServices(self, port, matching, iterator):
        assert (port, self.held.pop(matching)) == (0, b"IOAccelerator")
        self.held[0x77] = list(self.gpus)
        put(iterator, U, 0x77)
        return 0

    def IOIteratorNext(self, iterator):
        left = self.held[iterator]
        return left.pop() if left else 0

    def IOObjectRelease(self, thing):
        del self.held[thing]
        return 0

    def IORegistryEntryCreateCFProperty(self, service, key, allocator, options):
        assert (self.held[key], allocator, options) == (b"PerformanceStatistics", None, 0)
        return self._make(self.gpus[service]) if self.gpus[service] is not None else None

    def CFStringCreateWithCString(self, allocator, text, encoding):
        assert (allocator, encoding) == (None, 0x0800_0100)
        return self._make(text)

    def CFGetTypeID(self, thing):
        return self.kinds["number" if thing & 1 else "dictionary"]

    def CFDictionaryGetTypeID(self):
        return 18

    def CFNumberGetTypeID(self):
        return 22

    def CFDictionaryGetValue(self, dictionary, key):
        assert self.held[key] == b"Device Utilization %"
        # A number within the dictionary: nobody releases it.
        return dictionary + 1

    def CFNumberGetValue(self, number, kind, into):
        assert kind == 4
        put(into, ctypes.c_int64, self.held[number - 1])
        return 1

    def CFRelease(self, thing):
        del self.held[thing]

    def library(self, name: str | None) -> Library:
        """What `ctypes.CDLL(name)` is there."""
        place = "" if name is None else name.rpartition("/")[2]
        known = {each: value for each, value in FUNCTIONS[place].items() if each not in self.without}
        if place in self.without or not known:
            raise OSError(f"dlopen({name})")
        # A library stays where it was loaded, whatever becomes of what `CDLL` returned.
        LOADED.append(Library(**{each: (getattr(self, each), kind) for each, kind in known.items()}))
        return LOADED[-1]


LOADED: list[Library] = []
C = ctypes.CFUNCTYPE
FUNCTIONS: dict[str, dict[str, Any]] = {
    "": {
        "sysctlbyname": C(INT, S, P, P, P, UL),
        "mach_host_self": C(U),
        "host_statistics64": C(INT, U, INT, P, P),
        "notify_register_check": C(U, S, P),
        "notify_get_state": C(U, INT, P),
    },
    "IOKit": {
        "IOServiceMatching": C(P, S),
        "IOServiceGetMatchingServices": C(INT, U, P, P),
        "IOIteratorNext": C(U, U),
        "IOObjectRelease": C(INT, U),
        "IORegistryEntryCreateCFProperty": C(P, U, P, P, U),
    },
    "CoreFoundation": {
        "CFStringCreateWithCString": C(P, P, S, U),
        "CFGetTypeID": C(UL, P),
        "CFDictionaryGetTypeID": C(UL),
        "CFNumberGetTypeID": C(UL),
        "CFDictionaryGetValue": C(P, P, P),
        "CFNumberGetValue": C(U8, P, L, P),
        "CFRelease": C(None, P),
    },
}
