import sys
from typing import Any

import pytest

from mlxtop.core.facts import Facts
from mlxtop.mlx.device import ceiling, room
from mlxtop.system import footprint, machine
from tests.process import python


@pytest.mark.usefixtures("processes")
def test_facts_name_the_device_the_backend_and_the_versions() -> None:
    facts = python("import json; from mlxtop.mlx import device; print(json.dumps(device.facts().to_json()))")
    assert facts["backend"] in ("CPU", "CUDA", "Metal")
    assert facts["device"]
    assert facts["unified"] == (facts["backend"] != "CUDA")
    assert facts["memory"] > 2**28
    for package in ("mlx", "mlx_lm", "mlxtop"):
        assert facts[package][0].isdigit()


@pytest.mark.usefixtures("processes")
def test_a_ceiling_the_device_does_not_name_is_unknown_and_not_zero() -> None:
    facts = python("import json; from mlxtop.mlx import device; print(json.dumps(device.facts().to_json()))")
    assert facts["working_set"] is None or facts["working_set"] > 0
    assert facts["max_buffer"] is None or facts["max_buffer"] > 0


def test_a_package_that_is_not_there_has_no_version() -> None:
    from mlxtop.mlx.device import version

    assert version("no-such-package-at-all") is None


FACTS = Facts(working_set=None, memory=32 * 2**30, unified=True, cgroup_limit=None)


@pytest.mark.parametrize(
    ("changed", "gib", "what"),
    [
        ({}, 32, "the memory of this machine"),
        ({"working_set": 24 * 2**30}, 24, "the working set this device recommends"),
        ({"cgroup_limit": 8 * 2**30}, 8, "the container's limit"),
        ({"unified": False, "cgroup_limit": 8 * 2**30}, 32, "the memory of this device"),
    ],
)
def test_the_ceiling_is_the_lowest_that_binds_mlx(changed: dict[str, Any], gib: int, what: str) -> None:
    assert ceiling(FACTS.replace(**changed)) == (gib * 2**30, what)


@pytest.mark.usefixtures("processes")
def test_a_long_command_line_is_cut() -> None:
    code = "import json, sys; from mlxtop.mlx import device; sys.argv = ['x' * 900] * 9000; print(json.dumps(device.facts().argv))"
    words = python(code)
    assert sum(map(len, words)) <= 50 * 300


@pytest.mark.usefixtures("processes")
def test_there_is_no_more_room_than_the_ceiling() -> None:
    code = "import json; from mlxtop.mlx import device as d; f = d.facts(); print(json.dumps([d.room(f), d.ceiling(f)]))"
    room, (most, _) = python(code)
    assert 0 < room <= most


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_there_is_room_for_what_is_free_and_what_is_held_here_already() -> None:
    held = b"x" * 2**29
    free, mine = machine.available(), footprint.reader()()
    assert free is not None
    assert mine is not None
    assert mine > len(held)
    assert room(FACTS.replace(memory=2**60)) == pytest.approx(free + mine, abs=2**28)
    assert room(FACTS.replace(memory=2**20)) == 2**20
