"""Real MLX, each test in a process of its own: its peak belongs to the whole process."""

import pytest

from tests.process import python

pytestmark = pytest.mark.usefixtures("processes")

SETUP = """
import json
import mlx.core as mx
from mlxtop.mlx.step_peaks import StepPeaks
own = [mx.get_peak_memory, mx.reset_peak_memory, mx.metal.get_peak_memory, mx.metal.reset_peak_memory]
raw_peak = own[0]
import mlxtop.mlx.step_peaks as step_peaks
step_peaks._is_referenced = lambda place: False
rises = []
peaks = StepPeaks(rises.append)
peaks.install()
big = mx.array(bytes(1 << 20))
size = mx.get_active_memory()
def step(work=lambda: None):
    begun = peaks.begin()
    work()
    return peaks.end(begun)
def allocate(n=1):
    made = [mx.array(bytes(1 << 20)) for _ in range(n)]
def say(**what):
    print(json.dumps(what))
"""


def test_removed_mlx_has_its_own_functions_back() -> None:
    said = python(
        SETUP
        + "peaks.remove()\nnow = [mx.get_peak_memory, mx.reset_peak_memory, mx.metal.get_peak_memory, mx.metal.reset_peak_memory]\n"
        "say(same=[a is b for a, b in zip(own, now)])"
    )
    assert said["same"] == [True] * 4


def test_a_step_tells_what_it_rose_to_and_the_program_sees_the_highest_of_all() -> None:
    said = python(
        SETUP + "high, low = step(lambda: allocate(3)), step(lambda: allocate(1))\n"
        "say(high=high, low=low, peak=mx.get_peak_memory(), size=size, own=raw_peak())"
    )
    size = said["size"]
    assert said["high"][:2] == [4 * size, size]
    assert said["low"][:2] == [2 * size, size]
    assert said["low"][2] == said["high"][2] + 1
    assert said["peak"] == 4 * size
    assert said["own"] == 2 * size


def test_a_step_that_does_not_rise_or_not_high_enough_is_not_told() -> None:
    said = python(
        SETUP + "nothing = step()\npeaks.least = 2 * size\nsay(nothing=nothing, low=step(allocate), "
        "high=step(lambda: allocate(2)), size=size)"
    )
    assert (said["nothing"], said["low"]) == (None, None)
    assert said["high"][0] == 3 * said["size"]


def test_what_does_not_rise_above_the_end_of_the_step_before_is_not_told() -> None:
    said = python(
        SETUP + "kept = [mx.array(bytes(1 << 20))]\nstep()\nkept.clear(); tiny = mx.array([1.0])\n"
        "step()\nsay(rises=rises)"
    )
    # Less is active than at its end, but MLX's peak is what the new one makes of it.
    assert said["rises"] == []


def test_what_rises_between_two_steps_is_no_steps() -> None:
    said = python(SETUP + "step()\nallocate(3)\nstep()\nsay(rises=rises, size=size)")
    assert said["rises"] == [[4 * said["size"], said["size"], 0, False]]


def test_a_step_inside_another_belongs_to_it() -> None:
    said = python(
        SETUP
        + "inner = []\nouter = step(lambda: (allocate(3), inner.append(step(lambda: allocate(1))), allocate(2)))\n"
        "say(inner=inner, outer=outer, size=size, again=step(lambda: allocate(1)))"
    )
    assert said["inner"] == [None]
    assert said["outer"][:2] == [4 * said["size"], said["size"]]
    assert said["again"][0] == 2 * said["size"]


def test_after_an_exception_without_an_end_steps_are_told_again() -> None:
    said = python(
        SETUP + "def cut(): peaks.begin()\ncut()\ncut()\nallocate(3)\n"
        "say(next=step(lambda: allocate(1)), size=size, peak=mx.get_peak_memory())"
    )
    assert said["next"] == [2 * said["size"], said["size"], 3, False]
    assert said["peak"] == 4 * said["size"]


def test_a_high_is_taken_once_and_an_old_peak_is_none() -> None:
    said = python(
        SETUP + "found = []\ndef take(): found.append(peaks.take_high())\n"
        "take(); step(lambda: allocate(3)); take(); take()\n"
        "step(lambda: allocate(1)); step(); take(); allocate(5); take(); take(); mx.reset_peak_memory(); take()\n"
        "begun = peaks.begin(); allocate(2); take(); peaks.end(begun); take()\n"
        "say(found=[n // size for n in found], left=[n % size for n in found])"
    )
    assert said["found"][1:] == [4, 0, 2, 6, 0, 0, 3, 0]


@pytest.mark.parametrize("name", ["get_peak_memory", "reset_peak_memory"])
def test_where_the_program_has_a_reference_the_peak_is_mlxs_own(name: str) -> None:
    said = python(
        f"import json\nimport mlx.core as mx\nfrom mlxtop.mlx.step_peaks import StepPeaks\n"
        f"before = StepPeaks().exact\nfrom mlx.core import {name}\nprint(json.dumps([before, StepPeaks().exact]))"
    )
    assert said == [True, False]


def test_those_who_are_removed_in_any_order_leave_mlx_as_it_was() -> None:
    code = """
import itertools, json
import mlx.core as mx
from mlxtop.mlx import step_peaks
from mlxtop.mlx.hooks import AllocatorHooks
from mlxtop.mlx.step_peaks import StepPeaks

names = ("get_peak_memory", "reset_peak_memory", "clear_cache", "set_cache_limit")
before, found = [id(getattr(mx, name)) for name in names], []
for order in itertools.permutations(range(3)):
    all_ = [StepPeaks(), AllocatorHooks(print), StepPeaks()]
    for one in all_: one.install()
    for number in order: all_[number].remove()
    mx.clear_cache()
    found.append([id(getattr(mx, name)) for name in names] == before and step_peaks.installed is None)
print(json.dumps([found, StepPeaks().exact]))
"""
    assert python(code) == [[True] * 6, True]
