"""A census in words."""

from mlxtop.core.census import RANDOM_STATE, Census, Holding
from mlxtop.core.census_text import graphs, label, reasons, rest_in_graphs

METRIC = Holding("other", 4, (), "float32", "accumulated in train.py:9 step()", computed=False)
STORED = Holding("kv", 4, (1, 2), "float16", "Store.kept[…]", computed=False, arrays=8, owners=2)
STATE = Holding("other", 8, (2,), "uint32", RANDOM_STATE, computed=False)


def test_a_line_says_for_how_many_it_stands_and_what_shares_its_buffer():
    one = Holding("other", 4, (1,), "int8", "x in a.py")
    assert label(one) == "x in a.py"
    assert label(one._replace(arrays=32)) == "x in a.py (32 arrays)"
    assert label(one._replace(views=("y",), view_count=1)) == "x in a.py (1 view: y)"
    assert label(one._replace(arrays=2, views=("y", "z"), view_count=1200)) == (
        "x in a.py (2 arrays; 1,200 views: y, z, 1,198 more)"
    )
    assert label(STORED) == "Store.kept[…] (2 caches)"
    assert label(STORED._replace(part="garbage", owners=1)) == "Store.kept[…] (only garbage; 1 cache)"
    kept = one._replace(holder="errors[…] in a.py: ValueError keeps f() alive", arrays=9, owners=3)
    assert label(kept) == "errors[…] in a.py: ValueError keeps f() alive (3 times)"


def test_an_age_is_told_in_minutes_and_not_before_it_is_a_second():
    assert label(STORED._replace(age=754.8)) == "Store.kept[…] (2 caches; oldest at least 12m)"
    assert label(STORED._replace(age=59.9, owners=1)) == "Store.kept[…] (1 cache; at least 59s old)"
    assert label(STORED._replace(age=5405.0, arrays=1, owners=1)) == "Store.kept[…] (at least 1h30m old)"
    assert label(STORED._replace(age=0.9)) == label(STORED)


def test_what_is_not_computed_is_told_to_hold_the_rest_and_what_to_do():
    census = Census(active=100, holdings=(METRIC, STATE), lazy_count=2)
    assert reasons(census) == ("accumulated: not computed; its graph may hold it: evaluate it each step",)
    assert rest_in_graphs(census)
    stored = Census(active=100, holdings=(STORED,), lazy_count=8)
    assert reasons(stored) == (
        "Store.kept[…]: not computed; their graphs may hold it: evaluate them before they are kept",
    )
    many = tuple(METRIC._replace(holder=name) for name in "abcd")
    (told,) = reasons(Census(active=100, holdings=many, lazy_count=4))
    assert told.startswith("a, b and 2 more: not computed; their graphs")


def test_compiled_functions_and_frozen_objects_leave_it_open():
    census = Census(active=100, holdings=(METRIC,), lazy_count=1, compiled=1, frozen=2000)
    assert reasons(census)[1:] == (
        "1 compiled function may keep constants, which cannot be seen",
        "gc.freeze() hides 2,000 objects",
    )
    assert not rest_in_graphs(census)


def test_nothing_is_said_of_nothing_or_of_a_part_of_the_truth():
    metric = (METRIC,)
    assert reasons(Census(active=0, holdings=metric)) == ()
    assert reasons(Census(active=100, holdings=metric, whole=False)) == ()
    assert not rest_in_graphs(Census(active=100, holdings=metric, whole=False))
    parts = {"other": 999}
    assert reasons(Census(active=1000, parts=parts, holdings=metric)) == ()
    assert reasons(Census(active=100)) == ("held outside of Python, or by what its collector does not know",)
    assert not rest_in_graphs(Census(active=100, holdings=(STATE,)))


def test_what_graphs_are_known_to_hold_is_told_with_what_to_do() -> None:
    kept = Holding("kv", 90, (2, 64), "float32", "Store.caches[…]", arrays=4, owners=2, graphs=4)
    total = Holding("other", 8, (8,), "float32", "total in train.py:9 step()", graphs=1)
    assert label(kept) == "Store.caches[…] (2 caches; by graphs of 4 not computed)"
    assert label(total) == "total in train.py:9 step() (by the graph of 1 not computed)"
    both = Census(active=100, in_graphs=98, holdings=(kept, total))
    assert (
        graphs(both) == "Store.caches[…], total: not computed; their graphs have it: evaluate them each step"
    )
    one = Census(active=100, in_graphs=90, holdings=(kept,))
    assert graphs(one).endswith("evaluate them before they are kept")
    assert graphs(Census(active=100, in_graphs=8, holdings=(total,))).endswith(
        "its graph has it: evaluate it each step"
    )
    assert graphs(Census(active=10_000, in_graphs=8, holdings=(total,))) == ""
    state = Holding("other", 8, (2,), "uint32", RANDOM_STATE, graphs=1)
    assert graphs(Census(active=8, in_graphs=8, holdings=(state,))) == ""
