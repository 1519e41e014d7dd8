import json
import sys

import pytest

from mlxtop.cli.info import describe
from tests.process import mlxtop

FOUND = {
    "device": "Apple M3 Max",
    "backend": "Metal",
    "os": "macOS 15.5 (24F74)",
    "platform": "Darwin arm64",
    "python": "3.12.1",
    "mlxtop": "0.1.0",
    "mlx": "0.32.4",
    "mlx_lm": None,
    "memory": 64 * 2**30,
    "working_set": 48 * 2**30,
    "max_buffer": None,
    "system_memory": 64 * 2**30,
    "no_wiring": "macOS 15+",
    "cache_ceiling": 45 * 2**30,
    "limits": {"cache": 60 * 2**30, "memory": 72 * 2**30, "wired": 0},
    "counters": {"active": 0, "cache": 0, "peak": 8},
    "footprint": {"kind": "phys_footprint", "bytes": None},
    "system": {
        "swap_used": 2**30,
        "swap_total": 2**31,
        "pressure": "warning",
        "gpu": 0.97,
        "wired_limit": 24_000 * 2**20,
        "cgroup_limit": None,
        "pss": None,
    },
}


@pytest.mark.usefixtures("processes")
def test_info_as_json_has_device_versions_limits_and_counters() -> None:
    done = mlxtop("info", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["backend"] in ("CPU", "CUDA", "Metal")
    assert set(found["limits"]) == {"cache", "memory", "wired"}
    assert found["limits"]["memory"] > 2**28
    assert found["os"].startswith(("Linux ", "macOS "))
    if sys.platform == "linux":
        # Every Linux tells these; the rest is a matter of its kernel and its hardware.
        assert found["system"]["available"] > 0
        assert found["system"]["swap_used"] <= found["system"]["swap_total"]
    assert set(found["counters"]) == {"active", "cache", "peak"}
    assert found["footprint"]["bytes"] > 2**20


def test_what_this_machine_has_of_its_own_takes_a_row_and_what_it_has_not_none() -> None:
    lines = describe(FOUND).splitlines()
    assert any(line.startswith("swap used ") and "1.00 GiB" in line for line in lines)
    assert any(line.startswith("pressure ") and line.endswith("warning") for line in lines)
    assert any(line.startswith("GPU ") and line.endswith(" 97%") for line in lines)
    assert any(line.startswith("GPU wired limit ") and "23.44 GiB" in line for line in lines)
    assert any(line.startswith("os ") and line.endswith("macOS 15.5 (24F74)") for line in lines)
    assert not any(line.startswith(("cgroup", "PSS", "device used")) for line in lines)


@pytest.mark.usefixtures("processes")
def test_info_for_a_person_shows_the_same_in_lines() -> None:
    done = mlxtop("info")
    assert (done.returncode, done.stderr) == (0, "")
    names = [line.split("  ")[0].strip() for line in done.stdout.splitlines()]
    assert names[:3] == ["device", "os", "platform"]
    assert {"cache limit", "memory limit", "wired limit", "active", "cache", "peak"} <= set(names)
    assert "None" not in done.stdout


def test_sizes_come_with_the_exact_bytes_and_columns_line_up() -> None:
    lines = describe(FOUND).splitlines()
    assert "cache limit      60.00 GiB  (64424509440)" in lines
    assert len({line.index("(") for line in lines if line.endswith(")") and "Metal" not in line}) == 1


def test_what_holds_the_cache_and_why_nothing_is_wired_are_told() -> None:
    lines = describe(FOUND).splitlines()
    assert any(line.split() == ["cache", "at", "most", "45.00", "GiB", "(48318382080)"] for line in lines)
    assert any(line.startswith("wired limit") and line.endswith("(0)  macOS 15+") for line in lines)
    assert "cache at most" not in describe({**FOUND, "cache_ceiling": None})


@pytest.mark.parametrize("name", ["mlx-lm", "phys_footprint"])
def test_what_is_not_known_is_a_dash_and_not_none(name: str) -> None:
    (line,) = (line for line in describe(FOUND).splitlines() if name in line)
    assert "—" in line
    assert "None" not in line
