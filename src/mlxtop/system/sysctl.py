"""macOS's swap, memory pressure, GPU limit and version, from sysctlbyname(3).

vm.swapusage is `struct xsw_usage` of <sys/sysctl.h>. kern.memorystatus_vm_pressure_level returns the values
of <dispatch/source.h>: xnu's bsd/kern/kern_memorystatus_notify.c converts its own levels to them.
iogpu.wired_limit_mb is in no header: the MiB that the GPU may wire, 0 for macOS's default.
Not tested on a Mac yet.
"""

import ctypes
import sys

PRESSURE = {1: "normal", 2: "warning", 4: "critical"}


class XswUsage(ctypes.Structure):
    """Sizes in bytes, and whether swap is encrypted."""

    _fields_ = [
        ("total", ctypes.c_uint64),
        ("avail", ctypes.c_uint64),
        ("used", ctypes.c_uint64),
        ("pagesize", ctypes.c_uint32),
        ("encrypted", ctypes.c_int),
    ]


def swap() -> tuple[int, int] | None:
    """Returns the used and the present total swap in bytes. macOS enlarges the total when needed."""
    usage = XswUsage()
    whole = _read(b"vm.swapusage", usage) == ctypes.sizeof(usage)
    return (int(usage.used), int(usage.total)) if whole else None


def pressure() -> str | None:
    """Returns `normal`, `warning` or `critical`; `None` if unknown."""
    return PRESSURE.get(_number(b"kern.memorystatus_vm_pressure_level") or 0)


def wired_limit() -> int | None:
    """Returns the bytes that the GPU may wire, if that was set; `None` for macOS's default."""
    return (_number(b"iogpu.wired_limit_mb") or 0) * 2**20 or None


def version() -> str | None:
    """Returns `macOS 15.5 (24F74)`; `None` if unknown."""
    product, build = _text(b"kern.osproductversion"), _text(b"kern.osversion")
    return f"macOS {product}" + (f" ({build})" if build else "") if product else None


def _number(name: bytes) -> int | None:
    """Returns a number of 4 or 8 bytes: the size of some depends on the version of macOS."""
    found = _bytes(name, 8)
    return int.from_bytes(found, sys.byteorder, signed=True) if found and len(found) in (4, 8) else None


def _text(name: bytes) -> str | None:
    found = _bytes(name, 256)
    return found.split(b"\0")[0].decode(errors="replace").strip() or None if found else None


def _bytes(name: bytes, most: int) -> bytes | None:
    buffer = (ctypes.c_char * most)()
    size = _read(name, buffer)
    return None if size is None else buffer.raw[:size]


def _read(name: bytes, into: ctypes.Structure | ctypes.Array[ctypes.c_char]) -> int | None:
    """Returns the number of bytes read; `None` if `name` is unknown or its value is longer than `into`."""
    call = ctypes.CDLL(None).sysctlbyname
    call.argtypes = [
        ctypes.c_char_p,
        ctypes.c_void_p,
        ctypes.POINTER(ctypes.c_size_t),
        ctypes.c_void_p,
        ctypes.c_size_t,
    ]
    call.restype = ctypes.c_int
    size = ctypes.c_size_t(ctypes.sizeof(into))
    return int(size.value) if call(name, ctypes.byref(into), ctypes.byref(size), None, 0) == 0 else None
