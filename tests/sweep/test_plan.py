import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.core.errors import UsageError
from mlxtop.core.units import UNLIMITED
from mlxtop.sweep.plan import Cell, Plan, SweepParameter, check_parameters, parse_parameter
from mlxtop.sweep.target import CommandTarget, ModelTarget
from tests.sweep.made import plan

MIB = 2**20
sizes = st.one_of(st.integers(0, UNLIMITED), st.just("default"))
parameters = st.lists(sizes, min_size=2, max_size=7, unique=True).map(
    lambda v: SweepParameter("cache-limit", tuple(v))
)
texts = st.text(min_size=1, max_size=5)
models = st.builds(
    ModelTarget,
    st.lists(st.integers(1, 9999), min_size=1, max_size=3, unique=True).map(tuple),
    st.integers(2, 9999),
    st.none() | st.text(max_size=20).filter("demo".__ne__),
    st.none() | texts,
) | st.builds(
    ModelTarget, st.just((5,)), st.just(2), texts.filter("demo".__ne__), random_weights=st.just(True)
)
commands = st.builds(
    CommandTarget, st.lists(texts, min_size=1, max_size=3).map(tuple), st.none() | texts, st.booleans()
)
plans = st.builds(
    Plan,
    models | commands,
    parameters.map(lambda one: (one,)),
    seed=st.integers(),
    rounds=st.integers(1, 99),
)


@given(plans, st.integers(0, 50))
def test_every_cell_comes_once_in_every_round_in_blocks_of_one_length(plan: Plan, number: int) -> None:
    blocks = plan.round(number)
    cells = [cell for block in blocks for cell in block]
    assert sorted(cells) == sorted(plan.cells)
    assert len(set(cells)) == len(cells) == len(plan.arms) * len(plan.lengths)
    assert all(len({cell.length for cell in block}) == 1 for block in blocks)


@given(plans)
def test_a_plan_survives_its_file(plan: Plan) -> None:
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    assert again.differs(plan) is None


def test_a_file_of_0_1_0_is_a_plan() -> None:
    """A command is what generates no tokens, and its words are what a model's weights are elsewhere."""
    file = {
        "subject": "demo", "lengths": [128], "max_tokens": 8, "rounds": 5, "tolerance": 0.02, "seed": 0, "metric": "tps",
        "pattern": "", "lower_is_better": False, "extra": [], "knobs": [{"name": "cache-limit", "values": [0, "default"]}],
    }  # fmt: skip
    model = {**file, "subject": "./m", "extra": ["adapter", "./a"]}
    command = {**file, "subject": "ls '-l s'", "lengths": [0], "max_tokens": 0, "metric": "value", "pattern": "(x)", "extra": ["ls", "-l s"]}  # fmt: skip
    assert Plan.from_json(file).target == ModelTarget((128,), 8)
    assert Plan.from_json(model).target == ModelTarget((128,), 8, "./m", "./a")
    assert Plan.from_json(command).target == CommandTarget(("ls", "-l s"), "(x)")
    for data in (file, model, command):
        assert json.loads(json.dumps(Plan.from_json(data).to_json())) == data


def test_the_order_is_the_seed_s() -> None:
    a, b, c = plan(seed=1), plan(seed=1), plan(seed=2)
    assert [a.round(n) for n in range(5)] == [b.round(n) for n in range(5)]
    assert [a.round(n) for n in range(5)] != [c.round(n) for n in range(5)]
    assert a.round(0) != a.round(1)


def test_no_place_in_a_round_is_anybody_s_own() -> None:
    """Over many rounds every arm comes first about as often as any other."""
    first = [block[0].arm for n in range(400) for block in plan().round(n)]
    assert all(first.count(arm) > 0.7 * len(first) / 4 for arm in range(4))


def test_two_parameters_make_a_grid() -> None:
    grid = plan(parameters=(parse_parameter("cache-limit=0,default"), parse_parameter("kv-bits=4,8,default")))
    assert len(grid.arms) == 6
    assert grid.label(0) == "0 B · 4"
    assert grid.label(5) == "default · default"
    assert len(grid.cells) == 12


def test_what_may_be_put_together() -> None:
    assert plan().differs(plan(rounds=99, tolerance=0.1)) is None
    for target, difference in (
        (ModelTarget((128,), 64), "prompt lengths"),
        (ModelTarget((128, 512), 3), "tokens a generation"),
        (ModelTarget((128, 512), 64, "other"), "model or command"),
        (ModelTarget((128, 512), 64, adapter_path="other"), "weights"),
        (CommandTarget(("other",)), "model or command"),
    ):
        assert plan().differs(plan(target=target)) == difference


def test_parameters_as_they_are_written() -> None:
    assert parse_parameter("cache-limit=0, 20M,1.5GB,default").values == (
        0,
        20 * MIB,
        1_500_000_000,
        "default",
    )
    assert parse_parameter("kv-bits=4,8,default") == SweepParameter("kv-bits", (4, 8, "default"))
    assert parse_parameter("max-kv-size=512,default").label(512) == "512"
    assert parse_parameter("cache-limit=0,1M").label(MIB) == "1.0 MiB"


@pytest.mark.parametrize(
    "text",
    [
        "", "cache-limit", "cache=1", "cache-limit=", "cache-limit=1,,2", "cache-limit=1,1", "cache-limit=1M,1024K",
        "kv-bits=5", "kv-bits=0", "kv-bits=x", "max-kv-size=0", "max-kv-size=-1", "prefill-step-size=1e3", "kv-bits=٤",
        "max-kv-size=99999999999999999999", "cache-limit=-1",
    ],
)  # fmt: skip
def test_what_is_no_parameter_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_parameter(text)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("texts", "word"),
    [
        (["cache-limit=0,1M", "cache-limit=2M,3M"], "different"),
        (["cache-limit=0,1M", "kv-bits=4,8", "max-kv-size=1,2"], "one --parameter or two"),
        (["kv-bits=4,8", "max-kv-size=1,2"], "exclude"),
        (["cache-limit=0"], "two or more"),
        (["max-kv-size=1,2,3,4,5,6,7,8,9", "prefill-step-size=1,2,3,4,5,6,7,8"], "64 at most"),
    ],
)
def test_parameters_that_do_not_go_together(texts: list[str], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        check_parameters(tuple(map(parse_parameter, texts)))


@pytest.mark.parametrize(
    "broken",
    [
        {"knobs": [{"name": "cache", "values": [0]}]},
        {"knobs": [{"name": "cache-limit", "values": [-1]}]},
        {"knobs": [{"name": "cache-limit", "values": [True]}]},
        {"knobs": [{"name": "cache-limit", "values": ["20M"]}]},
        {"knobs": 3},
        {"lengths": ["x"]},
        {"strange": 1},
        {"extra": ["other weights"]},
        {"extra": "text"},
        {"extra": [3]},
        {"max_tokens": -1},
    ],
)
def test_what_is_no_plan_is_not_taken_for_one(broken: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Plan.from_json({**plan().to_json(), **broken})


def test_cells_are_numbers() -> None:
    assert plan().cells[0] == Cell(0, 0)
