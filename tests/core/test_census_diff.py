"""What two censuses of one program say of the time between them."""

import json
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from mlxtop.core.census import LARGEST, PARTS, Census, Holding, Part
from mlxtop.core.census_diff import CensusDiff, diff

MIB = 2**20


def census(*holdings: Holding, time: float = 0.0, more: int = 0) -> Census:
    """A census of `holdings`, and of `more` bytes of arrays that it does not list."""
    parts: dict[Part, int] = dict.fromkeys(PARTS, 0)
    for holding in holdings:
        parts[holding.part] += holding.nbytes * holding.computed
    parts["other"] += more
    return Census(sum(parts.values()), parts, holdings=holdings, time=time)


def held(holder: str, mib: int, count: int = 1, shape: tuple[int, ...] = (256, 1024)) -> Holding:
    return Holding("other", mib * MIB, shape, "float32", holder, arrays=count)


def told(found: CensusDiff) -> list[tuple[str, str, int, int]]:
    return [(change.verb, change.holder, change.nbytes // MIB, change.arrays) for change in found.changes]


def test_what_appeared_vanished_grew_and_shrank_is_told_the_largest_first() -> None:
    before = census(held("gone", 7), held("kept", 5), held("list[…]", 3, 3), held("queue[…]", 4, 4), time=10)
    after = census(held("new", 1), held("kept", 5), held("list[…]", 12, 12), held("queue[…]", 2, 2), time=70)
    found = diff(before, after)
    assert told(found) == [
        ("grew", "list[…]", 9, 9),
        ("vanished", "gone", -7, -1),
        ("shrank", "queue[…]", -2, -2),
        ("appeared", "new", 1, 1),
    ]
    assert (found.seconds, found.active, found.others, found.whole) == (60, MIB, 0, True)


def test_another_shape_of_the_same_holder_takes_the_place_of_the_first() -> None:
    found = diff(
        census(held("cache: keys", 1, shape=(1, 64))), census(held("cache: keys", 2, shape=(1, 128)))
    )
    (change,) = found.changes
    assert (change.verb, change.shape_before, change.shape) == ("grew", (1, 64), (1, 128))
    # Two that are there at once are two.
    both = census(held("x", 1, shape=(1,)), held("x", 2, shape=(2,)))
    assert told(diff(census(held("x", 1, shape=(1,))), both)) == [("appeared", "x", 2, 1)]


def test_what_only_graphs_hold_is_told_apart_from_what_a_variable_has() -> None:
    before, after = held("x", 4)._replace(graphs=2), held("x", 1)
    found = diff(census(before), census(after))
    assert told(found) == [("vanished", "x", -4, -1), ("appeared", "x", 1, 1)]
    assert [change.label for change in found.changes] == ["x (by graphs of what is not computed)", "x"]
    assert [change["in_graphs"] for change in found.to_json()["changes"]] == [True, False]


def test_a_variable_is_the_same_on_another_line_and_a_list_with_another_index() -> None:
    for place in (
        "train.py:{} <module>()",
        "<stdin>:{} step()",
        "mlx_lm.server:{} step()",
        "a b.ipynb:{} f()",
    ):
        for name in ("x in {}", "passed to MLX in {}", "cache in {}: KVCache 1 of 4: keys"):
            one, other = (census(held(name.format(place.format(line)), 1)) for line in (12, 14))
            assert diff(one, other).changes == ()
    before = census(held("x in train.py:88 step()", 1), held("d.0.weight", 2))
    assert diff(before, census(held("x in train.py:91 step()", 1), held("d.1.weight", 2))).changes == ()
    assert len(diff(before, census(held("x in train.py:88 other()", 1), held("d.0.weight", 2))).changes) == 2


def test_what_is_not_computed_is_apart() -> None:
    lazy = held("loss", 3)._replace(computed=False)
    found = diff(census(lazy), census(held("loss", 3)))
    assert sorted(change.computed for change in found.changes) == [False, True]
    assert found.others == 0


def test_what_a_full_list_has_no_room_for_has_not_vanished() -> None:
    full = census(*(held(f"a{n}x", 100) for n in range(LARGEST)), more=5 * MIB)
    with_small = census(*(held(f"a{n}x", 100) for n in range(LARGEST - 1)), held("small", 5))
    found = diff(with_small, full)
    assert told(found) == [("appeared", f"a{LARGEST - 1}x", 100, 1)]
    assert found.others == 0
    assert diff(full, with_small).others == 0


def test_a_census_that_ran_out_of_time_makes_the_difference_doubtful() -> None:
    short = Census(active=1, whole=False)
    assert not diff(short, census()).whole
    assert not diff(census(), short).whole


HOLDINGS = st.lists(
    st.builds(
        Holding,
        part=st.sampled_from(PARTS),
        nbytes=st.integers(0, 9),
        shape=st.sampled_from([(), (1,), (2, 3)]),
        dtype=st.just("float32"),
        holder=st.sampled_from(["a", "b.0.c", "b.1.c", "x in t.py:1 f()", "x in t.py:2 f()"]),
        computed=st.booleans(),
        arrays=st.integers(1, 3),
    ),
    max_size=6,
).map(lambda holdings: census(*holdings))


@given(HOLDINGS, HOLDINGS)
def test_the_changes_add_up_and_go_both_ways(before: Census, after: Census) -> None:
    there, back = diff(before, after), diff(after, before)
    assert there.others == back.others == 0
    assert there.active == -back.active == sum(change.nbytes for change in there.changes if change.computed)
    assert sorted(c.nbytes for c in there.changes) == sorted(-c.nbytes for c in back.changes)
    assert diff(before, before).changes == ()
    data: Mapping[str, object] = json.loads(json.dumps(there.to_json()))
    assert data["active"] == there.active
