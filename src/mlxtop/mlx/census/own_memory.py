"""This process's own memory, copied by the kernel: a wrong address is an answer there, and no fault here."""

import os
import struct
import sys
from collections.abc import Callable
from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE")
"""Bytes copied at once: the page next to one of the heap may be a device's."""
_MOST = 1_024
"""How many copies are kept."""
_Copy = Callable[[int, int], bytes]
"""Copies some bytes from an address on; fewer, or none, where there is no memory."""


class Unreadable(Exception):
    """No memory is there, or this system copies none."""


class OwnMemory:
    """Reads words of eight bytes. What was copied once is not asked for again, until `forget`.

    The GIL stays held: another thread of the program could keep it for 5 ms at each copy.
    """

    def __init__(self) -> None:
        self._pages: dict[int, bytes] = {}
        self._file = -1
        self._copy = self._copier()

    def close(self) -> None:
        self._pages.clear()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def forget(self) -> None:
        """Has everything read anew."""
        self._pages.clear()

    def words(self, address: int, count: int) -> tuple[int, ...]:
        """`count` unsigned words from `address` on. Raises `Unreadable`."""
        number, start = divmod(address, PAGE)
        page = self._pages.get(number)
        if page is None:
            page = self._load(number)
        if start + 8 * count > len(page):
            page, start = self._copy(address, 8 * count), 0
            if len(page) != 8 * count:
                raise Unreadable
        return struct.unpack_from(f"<{count}Q", page, start)

    def _load(self, number: int) -> bytes:
        if len(self._pages) >= _MOST:
            self._pages.clear()
        page = self._pages[number] = self._copy(number * PAGE, PAGE)
        return page

    def _copier(self) -> _Copy:
        if sys.byteorder != "little" or sys.maxsize < 2**32:
            raise Unreadable
        if sys.platform == "darwin":
            return _mach()
        try:
            self._file = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise Unreadable from error
        return _proc(self._file)


def _proc(file: int) -> _Copy:
    import ctypes

    pread: Any = ctypes.PyDLL(None).pread
    pread.argtypes = ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64
    pread.restype = ctypes.c_ssize_t
    buffer = ctypes.create_string_buffer(PAGE)

    def copy(address: int, size: int) -> bytes:
        if not 0 < address < 2**63 or size > PAGE:
            return b""
        copied = pread(file, buffer, size, address)
        return buffer.raw[: max(0, copied)]

    return copy


def _mach() -> _Copy:
    import ctypes

    library = ctypes.PyDLL(None)
    task = ctypes.c_uint32.in_dll(library, "mach_task_self_").value
    read: Any = library.mach_vm_read_overwrite
    read.argtypes = (
        ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.POINTER(ctypes.c_uint64)
    )  # fmt: skip
    read.restype = ctypes.c_int
    buffer, copied = ctypes.create_string_buffer(PAGE), ctypes.c_uint64(0)

    def copy(address: int, size: int) -> bytes:
        if not 0 < address < 2**63 or size > PAGE:
            return b""
        failed = read(task, address, size, ctypes.addressof(buffer), ctypes.byref(copied))
        return b"" if failed else buffer.raw[: copied.value]

    return copy
