"""The machine's own memory, from files as real machines wrote them, and from this machine."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from mlxtop.core.system import System
from mlxtop.probe import nvml, sysctl, system

GIB = 2**30

# What kernels wrote: v1 and both at once on a Linux 6.18 host, v2 in a virtual machine with a GPU, v2 in a
# container (its own group is the root it sees), v1 in a container (the mount shows its part of the tree).
V1_CGROUP = "9:name=systemd:/\n8:pids:/\n4:memory:/process_api/cd0a\n2:cpuacct:/\n1:cpu:/\n0::/\n"
V1_MOUNTS = (
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
)
V2_CGROUP = "0::/process_api/16eb\n"
V2_MOUNTS = (
    "32 23 0:28 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup2 "
    "rw,nsdelegate,memory_recursiveprot\n"
)
V1_DOCKER_CGROUP = "11:memory:/docker/0123abcd\n0::/system.slice\n"
V1_DOCKER_MOUNTS = "712 700 0:31 /docker/0123abcd /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory\n"
V1_STAT = "cache 308129792\nrss 104214528\ninactive_file 64937984\ntotal_cache 308129792\ntotal_inactive_file 64937984\n"
V2_STAT = "anon 2416640\nfile 989048832\nkernel 7774208\ninactive_anon 647168\ninactive_file 980000000\n"


def machine(root: Path, cgroup: str, mounts: str, files: dict[str, str]) -> str:
    """A folder that looks like a machine's root."""
    for path, text in {"proc/self/cgroup": cgroup, "proc/self/mountinfo": mounts, **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return str(root)


def test_v1_with_an_empty_v2_beside_it_and_no_limit(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/memory/process_api/cd0a"
    files = {
        f"{group}/memory.limit_in_bytes": "9223372036854771712\n",
        f"{group}/memory.usage_in_bytes": "412344320\n",
        f"{group}/memory.stat": V1_STAT,
    }
    named = "12:name=memory_of_mine:/elsewhere\n" + V1_CGROUP
    found = system.cgroup(root=machine(tmp_path, named, V1_MOUNTS, files))
    assert found.path == "/process_api/cd0a"
    assert (found.limit, found.used) == (None, 412344320 - 64937984)


def test_the_least_limit_of_the_group_and_those_around_it_counts(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/process_api/16eb"
    files = {
        f"{group}/memory.max": "max\n",
        f"{group}/memory.current": "1000000000\n",
        f"{group}/memory.stat": V2_STAT,
        "sys/fs/cgroup/process_api/memory.max": f"{4 * GIB}\n",
    }
    found = system.cgroup(root=machine(tmp_path, V2_CGROUP, V2_MOUNTS, files))
    assert (found.limit, found.used) == (4 * GIB, 20_000_000)


def test_v2_in_a_container(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/memory.max": f"{GIB}\n",
        "sys/fs/cgroup/memory.current": "1000000000\n",
        "sys/fs/cgroup/memory.stat": V2_STAT,
    }
    found = system.cgroup(root=machine(tmp_path, "0::/\n", V2_MOUNTS, files))
    assert (found.limit, found.used) == (GIB, 20_000_000)
    # Without a namespace of its own it is told of a path that is not there.
    found = system.cgroup(root=machine(tmp_path, "0::/../host.slice\n", V2_MOUNTS, files))
    assert (found.limit, found.used) == (GIB, 20_000_000)


def test_v1_in_a_container(tmp_path: Path) -> None:
    # Groups inside hold most of it: only the totals have theirs.
    stat = V1_STAT.replace("\ninactive_file 64937984", "\ninactive_file 4096")
    files = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GIB}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "412344320\n",
        "sys/fs/cgroup/memory/memory.stat": stat,
    }
    found = system.cgroup(root=machine(tmp_path, V1_DOCKER_CGROUP, V1_DOCKER_MOUNTS, files))
    assert (found.limit, found.used) == (2 * GIB, 412344320 - 64937984)


def test_a_machine_without_groups_has_none(tmp_path: Path) -> None:
    assert system.cgroup(root=str(tmp_path)) is None
    assert system.cgroup(root=machine(tmp_path, "0::/\n", "", {})) is None
    assert system.cgroup(root=machine(tmp_path, "", V2_MOUNTS, {})) is None


def test_files_that_go_away_or_say_nonsense_are_not_known(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/memory.max": "?\n", "sys/fs/cgroup/memory.current": "x"}
    found = system.cgroup(root=machine(tmp_path, "0::/\n", V2_MOUNTS, files))
    assert (found.limit, found.used) == (None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_this_machine_can_be_read() -> None:
    found = system.reader(os.getpid(), unified=True)(True)
    assert isinstance(found, System)
    assert found.pressure is None
    rss = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert 0 < found.pss <= rss
    assert found.pss == pytest.approx(psutil.Process().memory_full_info().pss, rel=0.05)
    assert system.available() == pytest.approx(psutil.virtual_memory().available, abs=GIB // 4)
    group = system.cgroup()
    if group is not None:
        assert group.limit is None or group.limit > 0
        assert group.used is None or group.used > 0
    assert (system.swap() is None) == ("SwapTotal:             0 kB" in Path("/proc/meminfo").read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_another_process_can_be_read_and_one_that_is_gone_is_not_known() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert system.reader(child.pid, unified=True)(True).pss > 0
    finally:
        child.communicate(b"\n")
    assert system.reader(child.pid, unified=True)(True).pss is None


def test_swap_as_linux_tells_it() -> None:
    text = "MemTotal:       24683840 kB\nSwapCached:            0 kB\nSwapTotal:       8388604 kB\nSwapFree:        8380412 kB\n"
    assert system._linux_swap(text) == (8192 * 1024, 8388604 * 1024)
    assert system._linux_swap("") is None


class Libc:
    """sysctlbyname(3) of a Mac under pressure."""

    def __init__(self, known: bool = True) -> None:
        self.known = known
        self.sysctlbyname = Function(self)


class Function:
    def __init__(self, libc: Libc) -> None:
        self.libc = libc

    def __call__(self, name, into, size, new, length) -> int:
        assert (new, length) == (None, 0)
        if not self.libc.known:
            return -1
        target, room = into._obj, size._obj.value
        if name == b"vm.swapusage":
            assert room == 8 * 3 + 4 * 2
            target.total, target.avail, target.used, target.pagesize = 3 * GIB, GIB, 2 * GIB, 16384
        else:
            assert (name, room) == (b"kern.memorystatus_vm_pressure_level", 4)
            target.value = 4
        return 0


def test_the_mac_readers_ask_for_what_the_headers_say(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody of us has run it on a Mac: this is only what the headers promise.
    libc = Libc()
    monkeypatch.setattr(sysctl.ctypes, "CDLL", lambda _: libc)
    monkeypatch.setattr(system.sys, "platform", "darwin")
    assert system.swap() == (2 * GIB, 3 * GIB)
    assert system.pressure() == "critical"
    libc.known = False
    assert (system.swap(), system.pressure()) == (None, None)


def test_without_an_nvidia_driver_there_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    nvml.reader.cache_clear()
    monkeypatch.setattr(nvml.ctypes, "CDLL", missing)
    assert nvml.reader() is None
    nvml.reader.cache_clear()


@pytest.mark.parametrize(("devices", "known"), [(1, True), (2, False), (0, False)])
def test_one_device_is_read_and_several_are_not_guessed_among(monkeypatch, devices: int, known: bool) -> None:
    def fill(_device, memory) -> int:
        memory._obj.total, memory._obj.free, memory._obj.used = 80 * GIB, 60 * GIB, 19 * GIB
        return 0

    def count(into) -> int:
        into._obj.value = devices
        return 0

    fake = SimpleNamespace(
        nvmlInit_v2=lambda: 0,
        nvmlDeviceGetCount_v2=count,
        nvmlDeviceGetHandleByIndex_v2=lambda *_: 0,
        nvmlDeviceGetMemoryInfo=fill,
    )
    nvml.reader.cache_clear()
    monkeypatch.setattr(nvml.ctypes, "CDLL", lambda _: fake)
    read = nvml.reader()
    assert (read is not None) == known
    if read:
        assert read() == (20 * GIB, 80 * GIB)
        found = system.reader(os.getpid(), unified=False)(False)
        assert (found.device_used, found.device_total, found.pss) == (20 * GIB, 80 * GIB, None)
        assert system.reader(os.getpid(), unified=True)(False).device_used is None
    nvml.reader.cache_clear()
