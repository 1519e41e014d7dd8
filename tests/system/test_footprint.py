import ctypes
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from mlxtop.core.sample import UNKNOWN
from mlxtop.system import footprint, rusage
from mlxtop.system.processes import is_alive
from tests.agent.program import until
from tests.process import python


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS charges by other rules than what is resident")
def test_the_footprint_is_this_process() -> None:
    assert footprint.reader()() == pytest.approx(psutil.Process().memory_info().rss, rel=0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_on_linux_it_is_what_the_kernel_says() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    assert footprint.KIND == "RSS"
    assert footprint.reader()() == pytest.approx(pages * os.sysconf("SC_PAGE_SIZE"), rel=0.05)


def test_the_footprint_grows_with_the_process() -> None:
    read = footprint.reader()
    before = read()
    held = bytearray(os.urandom(2**20)) * 64
    assert read() - before > len(held) // 2


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.usefixtures("processes")
def test_after_a_fork_each_process_reads_its_own() -> None:
    grown = python(
        """
import os
from mlxtop.system import footprint
footprint.reader()
if os.fork():
    os.wait()
else:
    before, held = footprint.reader()(), b"x" * (64 << 20)
    print(footprint.reader()() - before, flush=True)
    os._exit(0)
"""
    )
    assert grown > 32 << 20


def test_a_process_that_cannot_be_read_has_no_footprint(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> bytes:
        raise ProcessLookupError

    read = footprint.reader()
    monkeypatch.setattr(os, "pread", gone)
    if sys.platform != "darwin":
        assert read() is None


def test_the_layout_of_macos_struct_is_that_of_its_header() -> None:
    # <sys/resource.h>: uint8_t ri_uuid[16]; then ten uint64_t, of which ri_phys_footprint is the eighth.
    layout = rusage._RusageInfoV0
    assert layout.phys_footprint.offset == 16 + 7 * 8
    assert layout.phys_footprint.size == 8
    assert ctypes.sizeof(layout) == 16 + 10 * 8


def test_the_mac_reader_asks_for_this_process_and_reads_the_right_field(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Library:
        def proc_pid_rusage(self, pid, flavor, info) -> int:
            assert (pid, flavor) == (os.getpid(), 0)
            raw = (ctypes.c_uint64 * 12).from_address(ctypes.addressof(info._obj))
            raw[:] = range(12)
            return 0 if self.works else -1

        works = True

    class Function:
        def __init__(self, library: Library) -> None:
            self.library = library

        def __call__(self, *arguments) -> int:
            return self.library.proc_pid_rusage(*arguments)

    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: type("Libc", (), {"proc_pid_rusage": Function(library)})())
    read = rusage.reader()
    assert read() == 9
    library.works = False
    assert read() is None


def test_the_recent_footprint_is_read_four_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[int | None] = [7, None, 9]
    monkeypatch.setattr(footprint, "reader", lambda: lambda: found.pop(0))
    recent = footprint.Recent()
    assert recent.bytes == UNKNOWN
    assert [recent.at(now) for now in (10.0, 10.2, 10.25, 10.3, 10.5)] == [7, 7, UNKNOWN, UNKNOWN, 9]
    assert recent.bytes == 9


@pytest.mark.usefixtures("processes")
def test_another_process_and_one_that_is_over() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        assert is_alive(child.pid)
        assert footprint.of(child.pid) > 0
        child.kill()
        # Nobody has taken its exit code: it is a zombie, which `kill(pid, 0)` finds.
        until(lambda: not is_alive(child.pid))
        os.kill(child.pid, 0)
        assert footprint.of(child.pid) is None
    finally:
        child.kill()
        child.wait()
    assert not is_alive(child.pid)
    assert footprint.of(child.pid) is None
    assert not is_alive(2**70)
