"""macOS's swap and memory pressure by sysctlbyname(3).

vm.swapusage is `struct xsw_usage` of <sys/sysctl.h>. kern.memorystatus_vm_pressure_level answers with the
values of <dispatch/source.h>: xnu's bsd/kern/kern_memorystatus_notify.c turns its own levels into them.
Never run by us on a Mac yet.
"""

import ctypes

PRESSURE = {1: "normal", 2: "warning", 4: "critical"}


class XswUsage(ctypes.Structure):
    """Bytes; then the size of a page, and whether swap is encrypted."""

    _fields_ = [
        ("total", ctypes.c_uint64),
        ("avail", ctypes.c_uint64),
        ("used", ctypes.c_uint64),
        ("pagesize", ctypes.c_uint32),
        ("encrypted", ctypes.c_int),
    ]


def swap() -> tuple[int, int] | None:
    """Bytes of swap in use, and of swap there is at this moment: macOS makes more when it needs it."""
    usage = XswUsage()
    return (int(usage.used), int(usage.total)) if _fill(b"vm.swapusage", usage) else None


def pressure() -> str | None:
    """`normal`, `warning` or `critical`."""
    now = ctypes.c_int()
    return PRESSURE.get(now.value) if _fill(b"kern.memorystatus_vm_pressure_level", now) else None


def _fill(name: bytes, into: ctypes.Structure | ctypes.c_int) -> bool:
    """Whether the system knew `name` and filled `into`."""
    call = ctypes.CDLL(None).sysctlbyname
    call.argtypes = [
        ctypes.c_char_p,
        ctypes.c_void_p,
        ctypes.POINTER(ctypes.c_size_t),
        ctypes.c_void_p,
        ctypes.c_size_t,
    ]
    size = ctypes.c_size_t(ctypes.sizeof(into))
    return bool(call(name, ctypes.byref(into), ctypes.byref(size), None, 0) == 0)
