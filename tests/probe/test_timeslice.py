import ctypes
import os
import platform
import struct
import sys
import threading

import pytest

from mlxtop.probe import timeslice
from mlxtop.probe.sampler import Sampler

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


def shortened() -> tuple[Attributes, bool, Attributes]:
    """A thread's attributes, whether its slice was taken, and its attributes then. Of a thread of its own."""
    found: list[tuple[Attributes, bool, Attributes]] = []
    thread = threading.Thread(target=lambda: found.append((attributes(), timeslice.shorten(), attributes())))
    thread.start()
    thread.join()
    return found[0]


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
    def run() -> None:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        found.append(timeslice.shorten())
        found.append(attributes()[0] == os.SCHED_BATCH)

    found: list[bool] = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [False, True]


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
