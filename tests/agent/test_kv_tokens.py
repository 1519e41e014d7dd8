"""The tokens of a step are read from the states of mlx-lm's KV caches, as `mx.eval` is given them."""

import pytest

from tests.process import python

pytestmark = pytest.mark.usefixtures("processes")

HERE, ELSEWHERE = "/site-packages/mlx_lm/generate.py", "/home/me/train.py"


def test_each_kind_of_cache_tells_its_tokens() -> None:
    said = python(f"""
import json
import mlx.core as mx
from mlx_lm.models import cache
from mlxtop.agent.eval_hook import kv_tokens
def of(kept, rows=1, tokens=300):
    new = mx.zeros((rows, 2, tokens, 64))
    kept.update_and_fetch(new, new)
    return kv_tokens(([kept.state, kept.state],), {HERE!r})
empty = cache.KVCache().state
print(json.dumps([
    of(cache.KVCache()), of(cache.QuantizedKVCache()), of(cache.RotatingKVCache(max_size=1000)),
    of(cache.BatchKVCache([0, 5]), rows=2), of(cache.BatchRotatingKVCache(1000, [0, 5]), rows=2),
    kv_tokens(([empty],), {HERE!r}),
]))
""")
    assert said[:4] == [300] * 4
    # Its state does not say which of its numbers it is.
    assert said[4:] == [None, None]


def test_other_code_and_what_is_no_state_tell_nothing() -> None:
    said = python(f"""
import json
import mlx.core as mx
from mlxtop.agent.eval_hook import kv_tokens
x = mx.zeros((1, 2, 3, 4))
loop = []; loop.append(loop)
odd = [(), (x,), ([x],), ([],), ([(x,)],), ([(mx.zeros((2, 2)), x)],), ({{}},), (loop,), ([(1, 2, 3)],)]
print(json.dumps([[kv_tokens(args, {HERE!r}) for args in odd], kv_tokens(([(x, x)],), {HERE!r}),
    kv_tokens(([(x, x)],), {ELSEWHERE!r})]))
""")
    assert said == [[None] * 9, 3, None]
