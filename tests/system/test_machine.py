"""The machine's own memory, from files as real machines wrote them, and from this machine."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from mlxtop.core.machine import LEVELS, System
from mlxtop.system import iokit, mach, machine, nvml, psi, sysctl, thermal
from tests.system.darwin import PAGE, Mac

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


def root_of(root: Path, cgroup: str, mounts: str, files: dict[str, str]) -> str:
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
    found = machine.cgroup(root=root_of(tmp_path, named, V1_MOUNTS, files))
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
    found = machine.cgroup(root=root_of(tmp_path, V2_CGROUP, V2_MOUNTS, files))
    assert (found.limit, found.used) == (4 * GIB, 20_000_000)


def test_hits_of_all_limits_are_counted(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/process_api/16eb"
    files = {
        f"{group}/memory.events": "low 0\nhigh 0\nmax 7\noom 1\noom_kill 2\n",
        "sys/fs/cgroup/process_api/memory.events": "max 9\noom 3\noom_kill 4\n",
    }
    found = machine.cgroup(root=root_of(tmp_path, V2_CGROUP, V2_MOUNTS, files))
    assert (found.limit_hits, found.oom_kills) == (4, 2)
    group = "sys/fs/cgroup/memory/process_api/cd0a"
    root = root_of(tmp_path, V1_CGROUP, V1_MOUNTS, {f"{group}/memory.failcnt": "5\n"})
    assert machine.cgroup(root=root).limit_hits == 5
    assert machine.cgroup(root=root_of(tmp_path, V2_CGROUP, V2_MOUNTS, {})).limit_hits == 4


def test_v2_in_a_container(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/memory.max": f"{GIB}\n",
        "sys/fs/cgroup/memory.current": "1000000000\n",
        "sys/fs/cgroup/memory.stat": V2_STAT,
    }
    found = machine.cgroup(root=root_of(tmp_path, "0::/\n", V2_MOUNTS, files))
    assert (found.limit, found.used) == (GIB, 20_000_000)
    # Without a namespace of its own it is told of a path that is not there.
    found = machine.cgroup(root=root_of(tmp_path, "0::/../host.slice\n", V2_MOUNTS, files))
    assert (found.limit, found.used) == (GIB, 20_000_000)


def test_v1_in_a_container(tmp_path: Path) -> None:
    # Groups inside hold most of it: only the totals have theirs.
    stat = V1_STAT.replace("\ninactive_file 64937984", "\ninactive_file 4096")
    files = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GIB}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "412344320\n",
        "sys/fs/cgroup/memory/memory.stat": stat,
    }
    found = machine.cgroup(root=root_of(tmp_path, V1_DOCKER_CGROUP, V1_DOCKER_MOUNTS, files))
    assert (found.limit, found.used) == (2 * GIB, 412344320 - 64937984)


def test_a_machine_without_groups_has_none(tmp_path: Path) -> None:
    assert machine.cgroup(root=str(tmp_path)) is None
    assert machine.cgroup(root=root_of(tmp_path, "0::/\n", "", {})) is None
    assert machine.cgroup(root=root_of(tmp_path, "", V2_MOUNTS, {})) is None


def test_files_that_go_away_or_say_nonsense_are_not_known(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/memory.max": "?\n", "sys/fs/cgroup/memory.current": "x"}
    found = machine.cgroup(root=root_of(tmp_path, "0::/\n", V2_MOUNTS, files))
    assert (found.limit, found.used) == (None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_this_machine_can_be_read() -> None:
    found = machine.reader(os.getpid(), unified=True)(True)
    assert isinstance(found, System)
    pressure, meminfo = Path("/proc/pressure/memory"), machine._meminfo()
    assert (found.pressure in LEVELS) == pressure.exists()
    assert found.pressure is None or 0 <= found.stalled <= 1
    assert (found.swap_total, found.swap_used) == (meminfo["SwapTotal"], psutil.swap_memory().used)
    assert found.available == pytest.approx(machine.available(), abs=GIB // 4)
    rss = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert 0 < found.pss <= rss
    assert found.pss == pytest.approx(psutil.Process().memory_full_info().pss, rel=0.05)
    assert machine.available() == pytest.approx(psutil.virtual_memory().available, abs=GIB // 4)
    group = machine.cgroup()
    if group is not None:
        assert group.limit is None or group.limit > 0
        assert group.used is None or group.used > 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.usefixtures("processes")
def test_another_process_can_be_read_and_one_that_is_gone_is_not_known() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert machine.reader(child.pid, unified=True)(True).pss > 0
    finally:
        child.communicate(b"\n")
    assert machine.reader(child.pid, unified=True)(True).pss is None


def test_meminfo_as_linux_tells_it() -> None:
    text = (
        "MemTotal:       24683840 kB\nSwapFree:        8380412 kB\nHugePages_Total:       0\nZswap:  x kB\n"
    )
    assert machine._meminfo(text) == {"MemTotal": 24683840 * 1024, "SwapFree": 8380412 * 1024}
    assert machine._meminfo("") == {}


STALLS = "some avg10={} avg60=0.00 avg300=0.00 total=1\nfull avg10={} avg60=0.00 avg300=0.00 total=1\n"


@pytest.mark.parametrize(
    ("some", "full", "level"),
    [("0.00", "0.00", "normal"), ("9.99", "9.98", "normal"), ("12.50", "9.00", "warning"), ("99.00", "10.00", "critical")],
)  # fmt: skip
def test_pressure_as_linux_tells_it(some: str, full: str, level: str) -> None:
    found = psi.parse(STALLS.format(some, full))
    assert found == (float(some) / 100, float(full) / 100)
    assert psi.level(*found) == level


@pytest.mark.parametrize("text", ["", "some avg10=1.00 avg60=0\n", "some avg10=x\nfull avg10=y\n"])
def test_pressure_that_is_off_or_cut_short_is_not_known(text: str) -> None:
    assert psi.parse(text) is None


def test_in_a_container_with_a_limit_its_own_pressure_counts(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/memory.max": f"{GIB}\n",
        "sys/fs/cgroup/memory.pressure": STALLS.format("50.00", "0.00"),
    }
    found = machine._linux(machine.cgroup(root=root_of(tmp_path, "0::/\n", V2_MOUNTS, files)))()
    assert (found.pressure, found.stalled) == ("warning", 0.5)


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Mac]:
    """Makes this process find a Mac's libraries."""

    def make(*without: str) -> Mac:
        found = Mac(*without)
        for module in (sysctl, mach, iokit, thermal):
            monkeypatch.setattr(module.ctypes, "CDLL", found.library)
        for module in (mach, iokit, thermal):
            module.reader.cache_clear()
        monkeypatch.setattr(mach.os, "sysconf", lambda _: found.page)
        monkeypatch.setattr(machine.sys, "platform", "darwin")
        return found

    yield make
    for module in (mach, iokit, thermal):
        module.reader.cache_clear()


def test_a_mac_tells_all_of_it_and_what_it_lends_is_given_back(mac) -> None:
    it = mac()
    read = machine.reader(os.getpid(), unified=True)
    found = [read(False) for _ in range(3)][-1]
    assert found.replace(cgroup_limit=None, cgroup_used=None) == System(
        pressure="critical", available=4_000 * PAGE, swap_used=2 * GIB, swap_total=3 * GIB,
        compressed=5_000 * PAGE, wired=4_000 * PAGE, wired_limit=24_000 * 2**20, gpu=0.97, thermal="heavy",
    )  # fmt: skip
    assert machine.version() == "macOS 15.5 (24F74)"
    # Held for the life of the process: two names, nothing of the reads. A port and a token once.
    assert sorted(it.held.values()) == [b"Device Utilization %", b"PerformanceStatistics"]
    assert (it.hosts, it.registered) == (1, 1)


ALL = {
    "pressure",
    "available",
    "swap_used",
    "swap_total",
    "compressed",
    "wired",
    "wired_limit",
    "gpu",
    "thermal",
}


@pytest.mark.parametrize(
    ("lacks", "unknown"),
    [
        (("IOKit",), {"gpu"}),
        (("CFNumberGetValue",), {"gpu"}),
        (("CoreFoundation",), {"gpu"}),
        (("host_statistics64",), {"available", "compressed", "wired"}),
        (("notify_get_state",), {"thermal"}),
        (("iogpu.wired_limit_mb",), {"wired_limit"}),
        (("vm.swapusage", "kern.memorystatus_vm_pressure_level"), {"swap_used", "swap_total", "pressure"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_a_mac_that_lacks_a_call_lacks_its_numbers_and_no_others(mac, lacks, unknown) -> None:
    mac(*lacks)
    told = machine.reader(os.getpid(), unified=True)(False).to_json()
    assert ALL - told.keys() == unknown


@pytest.mark.parametrize(
    ("changes", "unknown"),
    [
        ({"gpus": {}}, {"gpu"}),
        ({"gpus": {0x10B: None}}, {"gpu"}),
        ({"gpus": {0x10B: 101}}, {"gpu"}),
        ({"kinds": {"dictionary": 7, "number": 22}}, {"gpu"}),
        ({"kinds": {"dictionary": 18, "number": 7}}, {"gpu"}),
        ({"count": 40}, {"available", "compressed", "wired"}),
        ({"thermal": 9}, {"thermal"}),
        ({"sysctls": {}}, {"swap_used", "swap_total", "pressure", "wired_limit"}),
    ],
    # A set's order differs from one worker to the next.
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_mac_that_answers_otherwise_than_its_headers_say_is_not_believed(mac, changes, unknown) -> None:
    it = mac()
    for name, value in changes.items():
        setattr(it, name, value)
    told = machine.reader(os.getpid(), unified=True)(False).to_json()
    assert ALL - told.keys() == unknown


def test_a_mac_without_a_limit_of_its_own_or_with_a_wider_one(mac) -> None:
    it = mac("kern.osproductversion")
    it.sysctls[b"iogpu.wired_limit_mb"] = bytes(4)
    assert sysctl.wired_limit() is None
    it.sysctls[b"iogpu.wired_limit_mb"] = (30_000).to_bytes(8, "little")
    assert sysctl.wired_limit() == 30_000 * 2**20
    # No swap file yet is no swap, not an unknown one.
    it.sysctls[b"vm.swapusage"] = bytes(32)
    assert sysctl.swap() == (0, 0)
    assert sysctl.version() is None
    assert machine.version() == f"{os.uname().sysname} {os.uname().release}"


def test_the_busiest_of_several_gpus_is_told(mac) -> None:
    mac().gpus = {0x10B: 3, 0x20C: 55, 0x30D: None}
    assert machine.reader(os.getpid(), unified=True)(False).gpu == 0.55


def test_the_structures_have_the_layout_of_the_headers() -> None:
    # <sys/sysctl.h>: 32 bytes. <mach/vm_statistics.h>: HOST_VM_INFO64_REV1_COUNT is 38 numbers of 4 bytes.
    assert ctypes.sizeof(sysctl.XswUsage) == 32
    assert ctypes.sizeof(mach.VmStatistics64) == 38 * 4
    offsets = {name: getattr(mach.VmStatistics64, name).offset for name, _ in mach.VmStatistics64._fields_}
    assert (offsets["wire_count"], offsets["zero_fill_count"], offsets["purgeable_count"]) == (12, 16, 88)
    assert (offsets["decompressions"], offsets["compressor_page_count"]) == (96, 128)
    assert offsets["total_uncompressed_pages_in_compressor"] == 144


def test_without_an_nvidia_driver_there_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    nvml.reader.cache_clear()
    monkeypatch.setattr(nvml.ctypes, "CDLL", missing)
    assert nvml.reader() is None
    nvml.reader.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="NVIDIA's library is on Linux")
@pytest.mark.parametrize(("devices", "known"), [(1, True), (2, False), (0, False)])
def test_one_device_is_read_and_several_are_not_guessed_among(monkeypatch, devices: int, known: bool) -> None:
    def fill(_device, memory) -> int:
        memory._obj.total, memory._obj.free, memory._obj.used = 80 * GIB, 60 * GIB, 19 * GIB
        return 0

    def busy(_device, use) -> int:
        use._obj.gpu, use._obj.memory = 87, 12
        return 0

    def hot(_device, reasons) -> int:
        # The power cap alone is no heat.
        reasons._obj.value = 0x4 | 0x40
        return 0

    def count(into) -> int:
        into._obj.value = devices
        return 0

    fake = SimpleNamespace(
        nvmlInit_v2=lambda: 0,
        nvmlDeviceGetCount_v2=count,
        nvmlDeviceGetHandleByIndex_v2=lambda *_: 0,
        nvmlDeviceGetMemoryInfo=fill,
        nvmlDeviceGetUtilizationRates=busy,
        nvmlDeviceGetCurrentClocksThrottleReasons=hot,
    )
    nvml.reader.cache_clear()
    monkeypatch.setattr(nvml.ctypes, "CDLL", lambda _: fake)
    read = nvml.reader()
    assert (read is not None) == known
    if read:
        assert read() == (20 * GIB, 80 * GIB, 0.87, "slowed")
        fake.nvmlDeviceGetUtilizationRates = lambda *_: 3
        del fake.nvmlDeviceGetCurrentClocksThrottleReasons
        nvml.reader.cache_clear()
        assert nvml.reader()() == (20 * GIB, 80 * GIB, None, None)
        found = machine.reader(os.getpid(), unified=False)(False)
        assert (found.device_used, found.device_total, found.pss) == (20 * GIB, 80 * GIB, None)
        assert machine.reader(os.getpid(), unified=True)(False).device_used is None
    nvml.reader.cache_clear()


def test_the_oom_killers_counter_in_both_versions(tmp_path: Path) -> None:
    events = "low 0\nhigh 0\nmax 21\noom 2\noom_kill 1\noom_group_kill 0\n"
    group = machine.cgroup(
        root=root_of(tmp_path / "2", "0::/\n", V2_MOUNTS, {"sys/fs/cgroup/memory.events": events})
    )
    assert group.oom_kills == 1
    control = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
    files = {"sys/fs/cgroup/memory/memory.oom_control": control}
    group = machine.cgroup(root=root_of(tmp_path / "1", V1_DOCKER_CGROUP, V1_DOCKER_MOUNTS, files))
    assert group.oom_kills == 3
    # The root of version 2 has no such file.
    group = machine.cgroup(
        root=root_of(tmp_path / "root", "0::/\n", V2_MOUNTS, {"sys/fs/cgroup/cgroup.procs": ""})
    )
    assert group.oom_kills is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_machines_own_counter_only_grows() -> None:
    before = machine.oom_kills()
    assert before is None or 0 <= before <= (machine.oom_kills() or 0)
