"""Cells of a real model in this process: the demo, and a checkpoint that mlx-lm loads."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlxtop.core.commands import StopWorkload
from mlxtop.core.errors import MlxtopError
from mlxtop.mlx.hooks import CPU_CACHE_LIMIT, apply
from mlxtop.sweep.executor import CellFailedError, ModelExecutor, Stopped
from mlxtop.sweep.plan import Cell, Plan, parse_parameter
from mlxtop.sweep.results import summarize
from mlxtop.sweep.runner import Sweep
from mlxtop.sweep.target import ModelTarget

pytestmark = pytest.mark.slow

MIB = 2**20


def plan_of(parameter: str, **more: Any) -> Plan:
    """Two rounds of the demo, or of `target`."""
    given: dict[str, Any] = {"target": ModelTarget((24, 96), 8), "rounds": 2}
    return Plan(parameters=(parse_parameter(parameter),), **{**given, **more})


def executor(plan: Plan) -> ModelExecutor:
    assert isinstance(plan.target, ModelTarget)
    return ModelExecutor(plan, plan.target)


def test_a_real_sweep_of_the_demo_puts_the_limit_back() -> None:
    plan = plan_of("cache-limit=0,1M,default")
    bench = executor(plan)
    default = 0

    def changed(sweep: Sweep) -> None:
        nonlocal default
        default = sweep.facts.cache_limit or 0

    sweep = Sweep(plan, bench, changed)
    sweep.run()
    assert sweep.failure is None
    assert (sweep.progress.stage, len({(r.round, r.arm, r.length) for r in sweep.measurements})) == (
        "done",
        12,
    )
    rows = summarize(plan, sweep.measurements, sweep.facts).rows
    assert all(row.repeats >= 2 and row.error is None for row in rows)
    assert [row.spreads["cache"].median for row in rows if row.label == "0 B"] == [0, 0]
    assert rows[4].spreads["cache"].median <= MIB < rows[5].spreads["cache"].median
    assert default > MIB
    assert bench.session.state.limits["cache"].value == default
    assert sweep.summary.recommendation.verdict == "unknown"


@pytest.fixture(autouse=True)
def _as_mlx_starts() -> None:
    """Other tests in this process may have left MLX another limit than it starts with."""
    apply({"cache": CPU_CACHE_LIMIT})


@pytest.fixture(scope="module")
def limits() -> Iterator[ModelExecutor]:
    bench = executor(plan_of("cache-limit=0,1M,default"))
    bench.open()
    bench.measure(Cell(0, 0))
    yield bench
    bench.close()


def test_a_cell_is_measured_whole(limits: ModelExecutor) -> None:
    began = time.monotonic()
    values, busy = limits.measure(Cell(2, 1))
    took = time.monotonic() - began
    assert set(values) == {"tps", "ttft", "prefill", "active", "total", "cache", "footprint"}
    assert values["tps"] > 1
    assert 0 < values["ttft"] < took
    assert values["total"] >= values["active"] > 5 * MIB
    assert values["total"] <= values["active"] + values["cache"]
    assert values["footprint"] > 20 * MIB
    assert busy is None or 0 <= busy <= 1


def test_the_limit_is_in_force_in_its_cell_and_no_other(limits: ModelExecutor) -> None:
    high = [limits.measure(Cell(arm, 1))[0]["cache"] for arm in (0, 2, 1, 0)]
    assert high[0] == high[3] == 0
    assert 0 < high[2] <= MIB < high[1]


def test_nothing_of_a_cell_is_left_for_the_next(limits: ModelExecutor) -> None:
    """A long prompt does not show in the peak of the short one that follows."""
    alone = limits.measure(Cell(0, 0))[0]["active"]
    longer = limits.measure(Cell(0, 1))[0]["active"]
    again = limits.measure(Cell(0, 0))[0]["active"]
    assert longer > alone
    assert again == pytest.approx(alone, rel=0.02)


@pytest.mark.parametrize(
    "parameter", ["kv-bits=8,default", "max-kv-size=16,default", "prefill-step-size=32,default"]
)
def test_other_parameters_are_the_generation_s(parameter: str) -> None:
    # A prompt is taken in at one go, whatever is kept of it: a small KV cache shows in a long answer.
    # It grows by 256 tokens at a time.
    length, answer = (128, 8) if parameter.startswith("prefill") else (8, 260)
    plan = plan_of(parameter, rounds=1, target=ModelTarget((length,), answer))
    sweep = Sweep(plan, executor(plan))
    sweep.run()
    assert sweep.failure is None
    small, default = (next(r.values for r in sweep.measurements if r.arm == arm) for arm in (0, 1))
    assert small["active"] < default["active"]


def test_an_end_of_text_ends_nothing(checkpoint: Path) -> None:
    """Random weights say it at any time: of forty generations some would be short."""
    plan = plan_of("cache-limit=0,default", target=ModelTarget((3, 4, 5, 6), 60, str(checkpoint)))
    bench = executor(plan)
    bench.open()
    try:
        for length in range(len(plan.lengths)):
            assert bench.measure(Cell(0, length)).values["tps"] > 0
    finally:
        bench.close()


def test_what_mlx_cannot_do_is_left_out(checkpoint: Path) -> None:
    """Heads of 16 cannot be quantized in groups of 64."""
    plan = plan_of("kv-bits=8,default", target=ModelTarget((16,), 8, str(checkpoint)))
    sweep = Sweep(plan, executor(plan))
    sweep.run()
    assert sweep.failure is None
    failed = [r for r in sweep.measurements if r.error]
    assert [(r.arm, r.values) for r in failed] == [(0, {})]
    assert failed[0].error is not None
    assert failed[0].error.startswith("The generation failed: ValueError")
    assert len([r for r in sweep.measurements if r.arm == 1]) == 2


def test_a_model_that_is_not_there() -> None:
    plan = plan_of("cache-limit=0,default", target=ModelTarget((24,), 8, "./no-such-model"))
    bench = executor(plan)
    with pytest.raises(MlxtopError, match=r"Could not load \./no-such-model: no such directory"):
        bench.open()
    bench.close()


def test_stop_ends_a_cell_in_its_middle() -> None:
    plan = plan_of("cache-limit=0,default", target=ModelTarget((24,), 100_000))
    bench = executor(plan)
    bench.open()
    threading.Timer(0.5, bench.stop).start()
    with pytest.raises(Stopped):
        bench.measure(Cell(0, 0))
    bench.close()


def test_a_generation_that_ends_early_is_no_measurement(limits: ModelExecutor) -> None:
    threading.Timer(0.0, limits.session.submit, (StopWorkload(),)).start()
    try:
        limits.measure(Cell(0, 1))
    except CellFailedError as error:
        assert str(error) == "The generation ended before its last token."  # noqa: PT017 - it may have been too late
