import json

import pytest

from mlxtop.core.course import course
from mlxtop.core.events import Event, SystemRead
from mlxtop.core.facts import Facts
from mlxtop.core.machine import System
from mlxtop.core.room import Room, room
from mlxtop.core.state import State

GIB = 2**30
MAC = Facts(unified=True, memory=32 * GIB, working_set=21 * GIB, cgroup_limit=None)
LINUX = Facts(unified=True, memory=64 * GIB, working_set=None, cgroup_limit=None)
CUDA = Facts(unified=False, memory=80 * GIB, working_set=None, cgroup_limit=4 * GIB)


@pytest.mark.parametrize(
    ("facts", "machine", "held", "cache", "expected"),
    [
        (MAC, System(available=GIB), 14 * GIB, 0, Room("working set", 21 * GIB, 7 * GIB, "normal")),
        # What the cache holds MLX gives back when it needs it.
        (MAC, System(), 21 * GIB, 15 * GIB, Room("working set", 21 * GIB, 0, "normal")),
        (MAC, System(), 19 * GIB, 0, Room("working set", 21 * GIB, 2 * GIB, "warning")),
        (MAC, System(), 22 * GIB, 0, Room("working set", 21 * GIB, -GIB, "critical")),
        # A limit that somebody set is the working set then.
        (MAC, System(wired_limit=28 * GIB), 14 * GIB, 0, Room("working set", 28 * GIB, 14 * GIB, "normal")),
        (MAC, System(), None, 0, Room("working set", 21 * GIB, None, None)),
        (LINUX, System(available=5 * GIB), 40 * GIB, 0, Room("memory", 64 * GIB, 5 * GIB, "warning")),
        (LINUX, System(), 40 * GIB, 0, Room("memory", 64 * GIB, None, None)),
        (
            LINUX,
            System(available=40 * GIB, cgroup_limit=8 * GIB, cgroup_used=5 * GIB),
            GIB,
            0,
            Room("container", 8 * GIB, 3 * GIB, "normal"),
        ),
        # A container is no promise: the machine around it may have less.
        (
            LINUX,
            System(available=GIB // 4, cgroup_limit=8 * GIB, cgroup_used=5 * GIB),
            GIB,
            0,
            Room("container", 8 * GIB, GIB // 4, "critical"),
        ),
        (LINUX.replace(cgroup_limit=99 * GIB), System(), GIB, 0, Room("memory", 64 * GIB, None, None)),
        (
            CUDA,
            System(device_used=20 * GIB, device_total=80 * GIB),
            GIB,
            0,
            Room("GPU memory", 80 * GIB, 60 * GIB, "normal"),
        ),
        (CUDA, System(), GIB, 0, Room("GPU memory", 80 * GIB, None, None)),
        (Facts(), System(), None, 0, Room("memory", None, None, None)),
    ],
)  # fmt: skip
def test_what_bounds_a_program_first_and_what_is_left_of_it(facts, machine, held, cache, expected) -> None:
    assert room(facts, machine, held, cache) == expected


def test_a_reading_is_told_by_what_is_known_and_comes_back_the_same() -> None:
    found = System(
        pressure="warning", stalled=0.125, swap_used=0, gpu=0.5, thermal="heavy", pss=7, pss_age=1.5
    )
    told = json.loads(json.dumps(found.to_json()))
    assert told.keys() == {"pressure", "stalled", "swap_used", "gpu", "thermal", "pss", "pss_age"}
    assert System.from_json(told) == found
    state = State()
    state.apply(Event(1.0, SystemRead(found)))
    assert state.system == found
    assert System.from_json({"more": "than we know", "pressure": None}) == System()


@pytest.mark.parametrize(
    "told",
    [
        {"pressure": "splendid"}, {"pressure": 4}, {"thermal": ["hot"]}, {"swap_used": -1}, {"swap_used": 1.5},
        {"wired": True}, {"wired": 2**64}, {"gpu": "97"}, {"gpu": float("nan")}, {"stalled": float("inf")},
        {"gpu": 17.0}, {"pss_age": -3.0},
    ],
)  # fmt: skip
def test_what_is_no_reading_is_refused(told) -> None:
    with pytest.raises(ValueError, match=next(iter(told))):
        System.from_json(told)


def test_the_course_of_a_run_is_its_ends_and_the_worst_in_between() -> None:
    assert course([]) is None
    first = System(pressure="normal", available=9, swap_used=0, thermal="nominal")
    worst = System(pressure="critical", available=1, swap_used=5, compressed=3, thermal="heavy")
    last = System(pressure="warning", available=4, swap_used=4, compressed=2, thermal="nominal")
    found = course([first, worst, last])
    assert found == (first, last, "critical", 5, 1, 3, None, "heavy")
    assert course([System()]) == (System(), System(), None, None, None, None, None, None)
    assert course([first]).thermal == "nominal"
