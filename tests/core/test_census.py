import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.core.census import LARGEST, LONGEST, PARTS, SHORTER, VIEWS, Census, Holding, alike
from mlxtop.ipc.protocol import LONGEST_LINE

CENSUS = Census(
    active=1000,
    parts={"weights": 600, "kv": 200, "optimizer": 100, "other": 50, "garbage": 0},
    counts={"weights": 3, "kv": 2, "optimizer": 1, "other": 1, "garbage": 0},
    holdings=(
        Holding("weights", 600, (10, 15), "float32", "Model: layers.0.weight"),
        Holding("other", 50, (), "int8", "—"),
        Holding(
            "kv", 64, (2, 8), "float32", "Scheduler.requests[…].prompt_cache", False, 8, 2, ("a", "b"), 3
        ),
    ),
    in_flight=30,
    compiled=1,
    frozen=2,
    whole=False,
    seconds=0.25,
    time=1.7e9,
)


def test_a_census_survives_the_wire():
    assert Census.from_json(json.loads(json.dumps(CENSUS.to_json()))) == CENSUS


def test_the_explained_share_is_the_parts_over_active():
    assert CENSUS.explained == 0.95
    assert Census(active=100, parts={**CENSUS.parts, "other": 0}).explained == 9.0, "it is not clamped"
    assert Census(active=0).explained is None


def test_what_is_left_has_no_name_and_is_not_in_flight():
    assert (CENSUS.accounted, CENSUS.rest) == (950, 20)
    assert Census(active=10, in_flight=30).rest == 0


@pytest.mark.parametrize(
    ("holder", "common"),
    [
        ("Model: layers.31.mlp.up_proj.weight", "Model: layers[…].mlp.up_proj.weight"),
        ("Scheduler.requests[7].prompt_cache", "Scheduler.requests[…].prompt_cache"),
        ("batch.x.0.12 in __main__", "batch.x[…][…] in __main__"),
        ("x1 in train.py:88 step()", "x1 in train.py:88 step()"),
        ("Phi3.5: weight", "Phi3.5: weight"),
        ("KVCache 3 of 6: keys", "KVCache … of 6: keys"),
        ("—", "—"),
    ],
)
def test_a_name_tells_what_is_alike(holder, common):
    assert alike(holder) == common


def test_a_census_of_an_older_agent_is_read():
    old = {"part": "kv", "nbytes": 4, "shape": [1], "dtype": "float32", "holder": "x", "computed": False}
    (holding,) = Census.from_json({"active": 4, "holdings": [old]}).holdings
    assert holding == Holding("kv", 4, (1,), "float32", "x", computed=False)


def test_what_is_missing_is_nothing_but_active_must_be_there():
    census = Census.from_json({"active": 7, "parts": {"kv": 3}, "of a later version": 1})
    assert census == Census(active=7, parts={**dict.fromkeys(PARTS, 0), "kv": 3})
    with pytest.raises(ValueError, match="whole number"):
        Census.from_json({})


def test_a_name_of_any_length_is_cut():
    data = CENSUS.to_json()
    data["holdings"][0]["holder"] = "x" * 10_000
    assert len(Census.from_json(data).holdings[0].holder) == LONGEST


def test_the_largest_census_fits_a_line_of_the_protocol():
    emoji = "\U0001f600"
    holding = Holding(
        "other",
        2**62,
        (2**30,) * 8,
        "float32",
        emoji * LONGEST,
        views=(emoji * SHORTER,) * VIEWS,
        view_count=9,
        age=1e6 / 7,
    )
    census = Census(active=2**62, holdings=(holding,) * LARGEST)
    assert len(json.dumps(census.to_json())) < 0.95 * LONGEST_LINE


@pytest.mark.parametrize(
    "change",
    [
        {"active": -1},
        {"active": True},
        {"active": 1.0},
        {"active": 2**63},
        {"parts": []},
        {"parts": {"kv": "1"}},
        {"counts": None},
        {"whole": 1},
        {"seconds": math.nan},
        {"seconds": 10**400},
        {"seconds": "1"},
        {"time": -1.0},
        {"time": 1e300},
        {"holdings": {}},
        {"holdings": [None]},
        {"holdings": [CENSUS.to_json()["holdings"][0]] * (LARGEST + 1)},
        {"holdings": [{**CENSUS.to_json()["holdings"][0], "part": ["kv"]}]},
        {"holdings": [{**CENSUS.to_json()["holdings"][0], "part": "gold"}]},
        {"holdings": [{**CENSUS.to_json()["holdings"][0], "shape": 3}]},
        {"holdings": [{**CENSUS.to_json()["holdings"][0], "shape": [-3]}]},
        {"holdings": [{**CENSUS.to_json()["holdings"][0], "shape": [1] * 65}]},
        {"holdings": [{**CENSUS.to_json()["holdings"][0], "dtype": None}]},
        {"holdings": [{**CENSUS.to_json()["holdings"][0], "holder": 3}]},
        {"holdings": [{**CENSUS.to_json()["holdings"][0], "arrays": -1}]},
        {"holdings": [{**CENSUS.to_json()["holdings"][0], "views": "abc"}]},
        {"holdings": [{**CENSUS.to_json()["holdings"][0], "views": [1]}]},
        {"holdings": [{**CENSUS.to_json()["holdings"][0], "views": ["x"] * (VIEWS + 1)}]},
        {"holdings": [{**CENSUS.to_json()["holdings"][0], "age": -1.0}]},
        {"holdings": [{**CENSUS.to_json()["holdings"][0], "age": "1"}]},
        {"in_flight": None},
        {"compiled": -1},
    ],
    ids=lambda change: str(change)[:60],
)
def test_what_is_no_census_is_a_value_error(change):
    with pytest.raises(ValueError, match=r"must be|made of"):
        Census.from_json({**CENSUS.to_json(), **change})


NOISE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(PARTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(CENSUS.to_json())), NOISE) | NOISE)
def test_nothing_else_is_ever_raised(data):
    try:
        census = Census.from_json(data)
    except ValueError:
        return
    assert Census.from_json(census.to_json()) == census
