import ctypes
import os
import platform
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from mlxtop.mlx.sampler import Sampler
from mlxtop.system import timeslice

GET = {"x86_64": 315, "aarch64": 275}.get(platform.machine())
"""The number of sched_getattr(2)."""
linux = pytest.mark.skipif(sys.platform != "linux" or GET is None, reason="only Linux has slices")
Attributes = tuple[int, int, int]


def attributes() -> Attributes:
    """Policy, nice value and slice in nanoseconds of the thread that calls, as the kernel has them."""
    room = ctypes.create_string_buffer(56)
    assert ctypes.CDLL(None).syscall(ctypes.c_long(GET or 0), 0, room, len(room), 0) == 0
    _, policy, _, nice, _, runtime = struct.unpack_from("=IIQiIQ", room)
    return policy, nice, runtime


def shortened(first: Callable[[], None] = lambda: None) -> tuple[Attributes, bool, Attributes]:
    """A thread's attributes after it did `first`, whether its slice was taken, and its attributes then."""

    def run() -> None:
        first()
        found.extend((attributes(), timeslice.shorten(), attributes()))

    found: list[Any] = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    before, taken, after = found
    return before, taken, after


@linux
def test_the_slice_is_shorter_and_nothing_else_is_different() -> None:
    before = attributes()
    (policy, nice, slice), taken, after = shortened()
    assert taken
    assert after[:2] == (policy, nice)
    # Kernels before 6.12 have no slices to ask for, and tell of none.
    assert after[2] == (timeslice.SHORTEST if slice else 0)
    assert attributes() == before


@linux
def test_a_policy_that_somebody_chose_stays() -> None:
    _, taken, (policy, _, _) = shortened(lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)))
    assert not taken
    assert policy == os.SCHED_BATCH


@linux
@pytest.mark.parametrize(("interval", "short"), [(0.001, True), (0.1, False)])
def test_only_a_sampler_in_a_hurry_asks_for_it(interval: float, short: bool) -> None:
    switch, ticked, found = sys.getswitchinterval(), threading.Event(), []

    def tick(_: float) -> None:
        found.append(attributes()[2])
        ticked.set()

    sampler = Sampler(interval, tick)
    try:
        sampler.start()
        assert ticked.wait(5)
    finally:
        sampler.stop()
        sys.setswitchinterval(switch)
    usual = attributes()[2]
    assert found[0] == (timeslice.SHORTEST if short and usual else usual)


def test_where_there_is_no_such_call_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "i686")
    assert not timeslice.shorten()
