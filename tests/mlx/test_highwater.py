import pytest

from tests.process import python

pytestmark = pytest.mark.usefixtures("processes")

SIZE = 64 * 2**20
CODE = """
import json, sys, time
import mlx.core as mx
from mlxtop.mlx import allocator
from mlxtop.mlx.highwater import FOOTPRINT_EVERY, HighWater

def hold(size):
    array = mx.zeros((size,), mx.uint8) + mx.zeros((1,), mx.uint8)
    mx.eval(array)
    seen = high._ticks + 2 * FOOTPRINT_EVERY
    while high._ticks < seen: time.sleep(0.001)

mx.set_cache_limit(int(sys.argv[2]))
high = HighWater()
allocator.begin_peak()
high.start()
low = high.take()
hold(int(sys.argv[1]))
after = high.take()
peak = allocator.take_peak()
again = high.take()
high.stop()
print(json.dumps([low, after, peak, again, allocator.take_peak()]))
"""


def test_the_highest_of_a_stretch_is_told_when_it_is_over_and_then_forgotten() -> None:
    low, after, peak, again, peak_again = python(CODE, str(SIZE), "0")
    assert low[0] < SIZE <= after[0] < 3 * SIZE
    assert again[0] < SIZE
    assert after[1] - low[1] > 0.9 * SIZE, "the footprint has it too"
    assert SIZE <= peak < 3 * SIZE
    assert peak_again < SIZE


def test_what_the_cache_keeps_is_held_too() -> None:
    _, _, _, again, peak_again = python(CODE, str(SIZE), str(2 * SIZE))
    assert again[0] >= SIZE > peak_again
