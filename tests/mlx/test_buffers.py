"""Buffers told apart by sizes alone, with real arrays and real views."""

from itertools import chain

import mlx.core as mx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.mlx.census.buffers import Sharing
from mlxtop.mlx.census.heap import TimeUp

pytestmark = pytest.mark.skipif(not hasattr(mx, "get_array_buffer_size"), reason="this MLX tells no buffers")

VIEWS = (
    lambda a: a[:1],
    lambda a: a[1:],
    lambda a: a.reshape(-1),
    lambda a: a.T,
    lambda a: a.reshape(2, 2, -1),
    lambda a: mx.broadcast_to(a[:1], (3, *a.shape[1:])),
    lambda a: a[..., ::2],
    lambda a: a + 0,
)


@pytest.fixture(autouse=True)
def no_cache() -> None:
    """A buffer from the cache may be larger than what is asked for."""
    mx.clear_cache()


@st.composite
def arrays(draw):
    """Computed arrays, some with buffers of their own and some views of others, in any order."""
    found = [mx.full((4, 8), float(i)) for i in range(draw(st.integers(1, 6)))]
    for of, view in draw(
        st.lists(st.tuples(st.integers(0, 99), st.integers(0, len(VIEWS) - 1)), max_size=12)
    ):
        base = found[of % len(found)]
        if base.shape == (4, 8):
            found.append(VIEWS[view](base))
    mx.eval(found)
    return draw(st.permutations(found))


@given(arrays())
def test_the_groups_are_those_that_each_two_tell_of(found):
    each = [mx.get_array_buffer_size(array) for array in found]
    for size in set(each):
        alike = [array for array, of in zip(found, each, strict=True) if of == size]
        groups = Sharing(alike, size, mx.get_array_buffer_size, lambda: None).groups()
        assert sorted(chain.from_iterable(groups)) == list(range(len(alike)))
        place = {i: number for number, group in enumerate(groups) for i in group}
        for i, one in enumerate(alike):
            for j, other in enumerate(alike):
                shared = mx.get_array_buffer_size([one, other]) == size
                assert shared == (place[i] == place[j])
        assert len(groups) * size == mx.get_array_buffer_size(alike)


def test_where_none_is_shared_one_question_is_asked():
    found = [mx.full((4, 8), float(i)) for i in range(1000)]
    mx.eval(found)
    asked = []
    size = mx.get_array_buffer_size(found[0])
    groups = Sharing(found, size, mx.get_array_buffer_size, lambda: asked.append(1)).groups()
    assert groups == [[i] for i in range(1000)]
    assert len(asked) == 1


def test_where_each_is_shared_by_two_the_questions_grow_as_n_log_n():
    found = [mx.full((4, 8), float(i)) for i in range(512)]
    found += [array.reshape(-1) for array in found]
    mx.eval(found)
    asked = []
    groups = Sharing(
        found, mx.get_array_buffer_size(found[0]), mx.get_array_buffer_size, lambda: asked.append(1)
    ).groups()
    assert groups == [[i, i + 512] for i in range(512)]
    assert len(asked) < 1024 * 10


def test_it_ends_when_time_is_up():
    found = [mx.full((4, 8), 0.0)] * 2

    def tick():
        raise TimeUp

    mx.eval(found)
    with pytest.raises(TimeUp):
        Sharing(found, 128, mx.get_array_buffer_size, tick).groups()
