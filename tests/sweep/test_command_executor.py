"""Cells that are runs of a program: real processes under the real agent."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mlxtop.core.errors import MlxtopError
from mlxtop.sweep.command_executor import CommandExecutor
from mlxtop.sweep.executor import CellFailedError, Stopped
from mlxtop.sweep.plan import Cell, Plan, parse_parameter
from mlxtop.sweep.runner import Sweep
from mlxtop.sweep.target import CommandTarget

pytestmark = pytest.mark.slow

MIB = 2**20
USES_MLX = """
import mlx.core as mx
print("limit", mx.set_cache_limit(7 * 2**20))
mx.set_cache_limit({limit})
for i in range(1, 9):
    mx.eval(mx.ones((256, 1024)) + i)
import time; time.sleep(0.5)
print("speed: 1,234.5 of something")
print("speed: {speed} of something")
"""


def executor(*command: str, pattern: str = r"speed: (\S+)") -> CommandExecutor:
    target = CommandTarget(command, pattern)
    return CommandExecutor(Plan(target, (parse_parameter("cache-limit=3M,default"),), rounds=1), target)


def script(tmp_path: Path, limit: str = "2**30", speed: str = "42.5") -> tuple[str, str]:
    path = tmp_path / "program.py"
    path.write_text(USES_MLX.format(limit=limit, speed=speed))
    return sys.executable, str(path)


def test_the_limit_is_set_before_the_program_s_first_line_with_mlx(tmp_path: Path) -> None:
    bench = executor(*script(tmp_path), pattern=r"limit (\d+)")
    assert bench.measure(Cell(0, 0)).values["value"] == 3 * MIB
    default = bench.measure(Cell(1, 0)).values["value"]
    assert default not in (3 * MIB, 7 * MIB)
    assert bench.facts.cache_limit == default or bench.facts.cache_limit == 3 * MIB or default > 0
    bench.close()


def test_its_last_match_and_its_memory_are_read(tmp_path: Path) -> None:
    bench = executor(*script(tmp_path))
    values, busy = bench.measure(Cell(1, 0))
    assert values["value"] == 42.5
    assert values["seconds"] > 0.5
    assert values["active"] >= MIB
    assert values["total"] >= values["active"]
    assert values["cache"] >= MIB
    assert values["footprint"] > 10 * MIB
    assert busy is None or 0 <= busy <= 1
    bench.close()


def test_what_goes_wrong_is_a_sentence(tmp_path: Path) -> None:
    bench = executor(sys.executable, "-c", "print('so sad\\x1b[31m'); raise SystemExit(3)")
    with pytest.raises(CellFailedError, match=r"ended with exit code 3; its last line is: so sad␛\[31m"):
        bench.measure(Cell(0, 0))
    bench = executor(sys.executable, "-c", "pass")
    with pytest.raises(
        MlxtopError, match="cannot be measured: it did not use MLX as far as mlxtop could see"
    ):
        bench.measure(Cell(0, 0))
    bench = executor("/no/such/program")
    with pytest.raises(MlxtopError, match="Could not find the program"):
        bench.measure(Cell(0, 0))
    bench = executor(*script(tmp_path), pattern="nothing (x)")
    with pytest.raises(
        CellFailedError, match=re.escape("The metric nothing (x) matches nothing in the output.")
    ):
        bench.measure(Cell(0, 0))
    bench = executor(*script(tmp_path, speed="fast"))
    with pytest.raises(CellFailedError, match="matches “fast”, which is not a number"):
        bench.measure(Cell(0, 0))


@pytest.mark.timeout(60)
def test_stop_ends_the_program() -> None:
    bench = executor(sys.executable, "-c", "import time; time.sleep(600)")
    threading.Timer(1.0, bench.stop).start()
    with pytest.raises(Stopped):
        bench.measure(Cell(0, 0))
    bench.close()


@pytest.mark.slow
def test_a_sweep_over_mlx_lm_s_own_command(checkpoint: Path) -> None:
    command = (
        sys.executable,
        "-m",
        "mlx_lm",
        "generate",
        "--model",
        str(checkpoint),
        "--prompt",
        "the cache",
    )
    pattern = r"Generation:.*, (\S+) tokens-per-sec"
    target = CommandTarget((*command, "--max-tokens", "24"), pattern)
    plan = Plan(target, (parse_parameter("cache-limit=0,20M"),), rounds=1)
    sweep = Sweep(plan, CommandExecutor(plan, target))
    sweep.run()
    assert sweep.failure is None
    assert sweep.facts.backend == "CPU"
    measurements = [r.values for r in sweep.measurements]
    assert len(measurements) == 2
    assert all(v["value"] > 0 and v["seconds"] > 0.1 and v["total"] > 0 for v in measurements)
    none, some = ([r.values["cache"] for r in sweep.measurements if r.arm == arm] for arm in (0, 1))
    assert max(none) < min(some)


def test_a_variable_that_makes_no_sense_hurts_no_program() -> None:
    code = "import mlx.core as mx; print(mx.set_cache_limit(5))"
    for text, limit in (("cache=² memory= nope=3 cache x=y=z", 32 * MIB), (f"x cache={3 * MIB}", 3 * MIB)):
        env = {**os.environ, "MLXTOP": "nonsense", "MLXTOP_LIMITS": text}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=True
        )
        assert (done.stdout, done.stderr) == (f"{limit}\n", "")
