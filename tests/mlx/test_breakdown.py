import pytest

from tests.process import python

pytestmark = pytest.mark.usefixtures("processes")


def test_weights_are_the_bytes_of_the_arrays_and_a_tied_one_counts_once() -> None:
    said = python(
        """
import json
import mlx.core as mx, mlx.nn as nn
from mlxtop.mlx import breakdown
class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.layers = [nn.Linear(4, 4, bias=False)]
        self.head = self.embed.weight
print(json.dumps([breakdown.weights(Tied()), len(breakdown.arrays(Tied()))]))
"""
    )
    assert said == [(10 * 4 + 4 * 4) * 4, 2]


def test_the_kv_cache_is_measured_with_its_room_for_growth() -> None:
    said = python(
        """
import json
import mlx.core as mx
from mlx_lm.models.cache import KVCache
from mlxtop.mlx import breakdown
caches = [KVCache(), KVCache()]
empty = breakdown.kv(caches)
for cache in caches:
    cache.update_and_fetch(mx.zeros((1, 2, 3, 8)), mx.zeros((1, 2, 3, 8)))
print(json.dumps([empty, breakdown.kv(caches), sum(c.keys.nbytes + c.values.nbytes for c in caches)]))
"""
    )
    empty, now, held = said
    assert empty == 0
    assert now == held >= 2 * 2 * (1 * 2 * 3 * 8) * 4
