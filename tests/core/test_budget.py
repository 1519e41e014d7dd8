import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.core.budget import (
    LEVELS,
    ROOM,
    Budget,
    RunCommand,
    StopProgram,
    level,
    parse_action,
    parse_budget,
    reach,
    resolve,
)
from mlxtop.core.commands import AddMark, ClearCache, SetLimit
from mlxtop.core.errors import UsageError
from mlxtop.core.events import BudgetChanged, Event
from mlxtop.core.facts import Facts
from mlxtop.core.state import State

GIB = 2**30
MAC = Facts(unified=True, memory=16 * GIB, working_set=11 * GIB, cgroup_limit=None)
CUDA = Facts(unified=False, memory=80 * GIB, working_set=None, cgroup_limit=4 * GIB)


@pytest.mark.parametrize(
    ("text", "ask"),
    [
        ("12GiB", 12 * GIB),
        ("500MB", 500_000_000),
        (" CGROUP ", "cgroup"),
        ("device", "device"),
        ("none", "none"),
        ("unlimited", "none"),
        ("default", "none"),
    ],
)
def test_a_budget_is_a_size_or_a_word(text, ask) -> None:
    assert parse_budget(text) == ask


@pytest.mark.parametrize("text", ["16GB Mac", "16 GB MacBook", "8GB iphone", "iPhone 15 Pro", "ipad"])
def test_a_device_with_no_public_number_is_refused_with_the_reason(text) -> None:
    with pytest.raises(UsageError, match="Apple publishes no rule"):
        parse_budget(text)


@pytest.mark.parametrize("text", ["", "0", "much", "-1G", "cgroup2"])
def test_what_is_no_budget_is_refused(text) -> None:
    with pytest.raises(UsageError, match=r"write 500M|name a size"):
        parse_budget(text)


def test_what_a_budget_is_compared_with() -> None:
    assert resolve(GIB, MAC, "flag") == Budget(GIB, "flag", "footprint")
    assert resolve(GIB, Facts(), "flag") == Budget(GIB, "flag", "footprint"), "nothing is known of the device"
    assert resolve(GIB, CUDA, "flag") == Budget(GIB, "flag", "device"), "the footprint holds nothing of MLX"
    assert resolve("device", MAC, "flag") == Budget(11 * GIB, "device's working set", "footprint")
    assert resolve("device", CUDA, "flag") == Budget(80 * GIB, "device's memory", "device")
    assert resolve("cgroup", CUDA, "flag") == Budget(4 * GIB, "container's limit", "cgroup")
    assert resolve("none", MAC, "flag") is None


def test_a_ceiling_that_is_not_there_is_told() -> None:
    with pytest.raises(UsageError, match="no container"):
        resolve("cgroup", MAC, "flag")
    with pytest.raises(UsageError, match="no recommended working set"):
        resolve("device", Facts(unified=True, memory=GIB, working_set=None), "flag")


def test_an_alarm_does_not_flap() -> None:
    holds, found = 0, []
    for used in (79, 80, 79, 80, 78, 77, 76, 95, 94, 96, 100, 99, 98, 96, 50):
        holds = level(100, used, holds)
        found.append(holds)
    assert found == [0, 80, 80, 80, 80, 80, 0, 95, 95, 95, 100, 100, 100, 95, 0]


@given(st.integers(100, 2**45), st.sampled_from(LEVELS))
def test_an_alarm_begins_with_the_first_byte_of_its_level(ceiling: int, n: int) -> None:
    begins, ends = -(-ceiling * n // 100), -(-ceiling * (n - ROOM) // 100)
    assert level(ceiling, begins, 0) == level(ceiling, ends, n) == n
    assert level(ceiling, begins - 1, 0) < n > level(ceiling, ends - 1, n)


def test_the_time_to_reach_it_follows_the_slope_and_not_a_spike() -> None:
    points = [(float(t), 1000 + 10 * t) for t in range(40)]
    assert reach(points, 2390) == pytest.approx(100)
    points[20] = (20.0, 10**9)
    assert reach(points, 2390) == pytest.approx(100)


def test_what_does_not_grow_is_never_reached() -> None:
    assert reach([(float(t), 1000) for t in range(40)], 2000) is None
    assert reach([(float(t), 1000 - t) for t in range(40)], 2000) is None
    assert reach([(0.0, 1), (1.0, 2)], 2000) is None, "two points are no slope"
    assert reach([], 1) is None
    assert reach([(float(t), t) for t in range(40)], 10**9) is None, "later than in a day"


def test_what_is_reached_takes_no_time_and_the_last_byte_does() -> None:
    assert reach([(0.0, 2001)], 2000) == reach([(0.0, 2000)], 2000) == 0
    assert reach([(float(t), t) for t in range(40)], 40) == 1


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("mark", AddMark("budget", "budget")),
        ("clear", ClearCache("budget")),
        ("stop", StopProgram()),
        ("limit:20M", SetLimit("cache", 20 * 2**20, "budget")),
        ("limit:default", SetLimit("cache", "default", "budget")),
        ("exec:notify-send a:b", RunCommand("notify-send a:b")),
    ],
)
def test_what_to_do(text, action) -> None:
    assert parse_action(text) == action


@pytest.mark.parametrize("text", ["", "limit", "limit:", "limit:x", "exec", "exec: ", "stop:now", "kill"])
def test_what_cannot_be_done_is_refused(text) -> None:
    with pytest.raises(UsageError, match="write"):
        parse_action(text)


def test_a_state_follows_its_events() -> None:
    budget, state = Budget(100, "flag"), State()
    state.apply(Event(1, BudgetChanged(budget)))
    assert (state.budget, state.alarm) == (budget, 0)
    state.apply(Event(2, BudgetChanged(budget, 95, 0, 96)))
    assert (state.budget, state.alarm) == (budget, 95)
    state.apply(Event(3, BudgetChanged(None)))
    assert (state.budget, state.alarm) == (None, 0)


def test_an_event_says_how_it_stands_to_its_budget() -> None:
    budget = Budget(4 * GIB, "container's limit", "cgroup")
    told = [
        BudgetChanged(budget),
        BudgetChanged(budget, 80, 0, 4 * GIB * 8 // 10),
        BudgetChanged(budget, 100, 95, 4 * GIB),
        BudgetChanged(budget, 0, 80, GIB),
        BudgetChanged(None),
    ]
    assert [Event(0, data).describe() for data in told] == [
        "budget 4.00 GiB (container's limit)",
        "80 % of the budget: cgroup 3.20 GiB of 4.00 GiB",
        "budget reached: cgroup 4.00 GiB of 4.00 GiB",
        "below 80 % of the budget again: cgroup 1.00 GiB of 4.00 GiB",
        "no budget any more",
    ]
