"""What a program that imports mlxtop gets. Where limits are set, in a process of its own."""

import time

import pytest

from tests.process import default_cache_limit, python

pytestmark = pytest.mark.usefixtures("processes")

HEAR = """
import json
import mlx.core as mx, mlxtop
from mlxtop import api
def limit():
    now = mx.set_cache_limit(2**40); mx.set_cache_limit(now); return now
"""


def test_importing_mlxtop_imports_neither_textual_nor_mlx_lm_nor_mlx() -> None:
    loaded = python("import json, sys, mlxtop; print(json.dumps(sorted(sys.modules)))")
    tops = {name.split(".")[0] for name in loaded}
    assert not tops & {
        "textual",
        "rich",
        "plotext",
        "mlx_lm",
        "mlx",
        "transformers",
        "click",
        "psutil",
        "numpy",
    }


def test_a_program_sees_what_an_array_cost() -> None:
    began = time.monotonic()
    said = python(
        HEAR
        + "before = mlxtop.snapshot(); a = mx.zeros((1000, 1000)); mx.eval(a); after = mlxtop.snapshot()\n"
        "growth = before.delta(after); print(growth); print(json.dumps([growth.active, growth.time, str(growth)]))"
    )
    active, seconds, text = said
    assert 4_000_000 <= active < 4_100_000
    assert 0 < seconds < time.monotonic() - began
    assert text.splitlines()[1] == f"Active: 3.8 MiB ({active})"


def test_a_cache_limit_lasts_for_its_block() -> None:
    said = python(
        HEAR + "seen = [limit()]\nwith mlxtop.cache_limit('20M') as inside:\n    seen += [inside, limit()]\n"
        "seen.append(limit()); print(json.dumps(seen))"
    )
    assert said == [default_cache_limit(), 20 * 2**20, 20 * 2**20, default_cache_limit()]


def test_cache_limits_nest_and_default_is_what_mlx_started_with() -> None:
    said = python(
        HEAR + "seen = []\n"
        "with mlxtop.cache_limit(0):\n"
        "    seen.append(limit())\n"
        "    with mlxtop.cache_limit('default') as inside:\n"
        "        seen += [inside, limit()]\n"
        "        with mlxtop.cache_limit('2M'):\n"
        "            seen.append(limit())\n"
        "        seen.append(limit())\n"
        "    seen.append(limit())\n"
        "    with mlxtop.cache_limit('default'):\n"
        "        seen.append(limit())\n"
        "seen.append(limit())\n"
        "print(json.dumps([s // 2**20 for s in seen]))"
    )
    assert said == [0, 32, 32, 2, 32, 0, 32, 32]


def test_default_comes_first_too_and_unlimited_is_a_size() -> None:
    said = python(
        HEAR
        + "with mlxtop.cache_limit('default') as a: pass\nwith mlxtop.cache_limit('unlimited') as b: c = limit()\n"
        "print(json.dumps([a, b, c, limit()]))"
    )
    assert said == [default_cache_limit(), 2**63 - 1, 2**63 - 1, default_cache_limit()]


def test_an_exception_in_the_block_restores_the_limit() -> None:
    said = python(
        HEAR + "try:\n    with mlxtop.cache_limit(5):\n        raise KeyError\nexcept KeyError:\n    pass\n"
        "print(json.dumps(limit()))"
    )
    assert said == default_cache_limit()


def test_a_size_that_is_none_changes_nothing() -> None:
    said = python(
        HEAR + "from mlxtop.core.errors import UsageError\n"
        "try:\n    with mlxtop.cache_limit('lots'):\n        pass\nexcept UsageError as error:\n    said = str(error)\n"
        "print(json.dumps([said, limit()]))"
    )
    assert said == [
        "'lots' is not a size: write 0, 20M, 1.5GiB, 500MB, default or unlimited.",
        default_cache_limit(),
    ]


def test_marks_and_phases_reach_whoever_listens() -> None:
    said = python(
        HEAR
        + "heard = []\nstop = api.listen(lambda kind, name, now: heard.append([kind, name, now.active]))\n"
        "a = mx.zeros(256); mx.eval(a)\n"
        "mlxtop.mark('before'); mlxtop.phase('train')\nwith mlxtop.phase('eval'):\n    mlxtop.mark()\n"
        "stop(); mlxtop.mark('unheard'); print(json.dumps(heard))"
    )
    assert [(kind, name) for kind, name, _ in said] == [
        ("mark", "before"),
        ("phase", "train"),
        ("phase", "eval"),
        ("mark", "mark"),
        ("phase", "idle"),
    ]
    assert all(active >= 1024 for *_, active in said)


def test_a_phase_ends_with_its_block_when_that_fails() -> None:
    said = python(
        HEAR + "heard = []\napi.listen(lambda kind, name, now: heard.append(name))\n"
        "try:\n    with mlxtop.phase('train'):\n        raise OSError\nexcept OSError:\n    pass\nprint(json.dumps(heard))"
    )
    assert said == ["train", "idle"]


def test_without_a_listener_a_mark_is_a_snapshot_and_nothing_else() -> None:
    said = python(
        HEAR + "now = mlxtop.mark('alone')\nwith mlxtop.phase('train'): pass\n"
        "print(json.dumps([type(now).__name__, now.active == mx.get_active_memory()]))"
    )
    assert said == ["Snapshot", True]


METRICS = """
import json
import mlx.core as mx, mlxtop
def rise(n):
    mx.eval([mx.array(bytes(1 << 20)) for _ in range(n)])
def settled():
    mx.synchronize()
    return mlxtop.metrics()
"""


def test_metrics_are_numbers_of_any_program() -> None:
    first, second, third, peaks, types = python(
        METRICS
        + "rise(4); first = settled(); rise(2); second = settled(); keep = mx.array(bytes(1 << 20)); third = settled()\n"
        "mx.reset_peak_memory(); rise(1); peaks = [mx.get_peak_memory(), settled()['mlx/peak']]\n"
        "print(json.dumps([first, second, third, peaks, [type(v).__name__ for v in first.values()]]))"
    )
    assert set(types) == {"int"}
    known = {name for name in first if not name.startswith("mlx/limit/")}
    assert known == {"mlx/active", "mlx/cache", "mlx/total", "mlx/peak", "mlx/peak_step", "mlx/footprint"}
    assert first["mlx/total"] == first["mlx/active"] + first["mlx/cache"]
    # At first the peak since the start, then that since the call before; MLX's own is the highest of all.
    mib = 2**20
    assert first["mlx/peak_step"] == first["mlx/peak"] == second["mlx/peak"] >= 4 * mib
    assert 2 * mib <= second["mlx/peak_step"] < 3 * mib
    assert mib <= third["mlx/active"] <= third["mlx/peak_step"] < 2 * mib
    # A reset by the program is its own.
    assert peaks[0] == peaks[1] < 3 * mib


def test_a_watched_program_knows_its_limits() -> None:
    said = python(
        "import os; os.environ.pop('MLXTOP', None)\n"
        + METRICS
        + "before = mlxtop.metrics(); mlxtop.watch(); mx.set_cache_limit(7 << 20); after = mlxtop.metrics()\n"
        "mx.eval([mx.array(bytes(1 << 20)) for _ in range(3)]); last = mlxtop.metrics()\n"
        "print(json.dumps([before, after, last]))"
    )
    before, after, last = said
    assert "mlx/limit/cache" not in before
    assert after["mlx/limit/cache"] == 7 << 20
    assert last["mlx/peak_step"] >= 3 << 20
    assert last["mlx/peak"] >= last["mlx/peak_step"]


def test_a_callback_that_fails_warns_once_and_passes_everything_on() -> None:
    said = python(
        """
import json, warnings
import mlxtop
from mlxtop import api
class Wrapped:
    def __init__(self): self.told = []
    def on_train_loss_report(self, info): self.told.append(info)
    on_val_loss_report = on_train_loss_report
    def on_epoch(self): return "theirs"
wrapped = Wrapped()
real, api.metrics = api.metrics, lambda: 1 / 0
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    callback = mlxtop.TrainingCallback(wrapped)
    report = {"iteration": 1, "train_loss": 2.0}
    callback.on_train_loss_report(report)
    callback.on_val_loss_report("not a dict")
same = wrapped.told[0] is report
api.metrics = real
callback.on_train_loss_report(report)
mlxtop.TrainingCallback().on_val_loss_report(report)
with warnings.catch_warnings():
    warnings.simplefilter("error")
    api.metrics = lambda: 1 / 0
    mlxtop.TrainingCallback(wrapped).on_train_loss_report(report)
print(json.dumps([[str(one.message) for one in told], same, wrapped.told, report, callback.on_epoch()]))
"""
    )
    warned, same, told, report, theirs = said
    assert warned == ["mlxtop cannot add MLX's memory to the reports: ZeroDivisionError: division by zero"]
    assert same
    assert told[1] == "not a dict"
    assert told[2].keys() == {
        "iteration",
        "train_loss",
        "mlx/active",
        "mlx/cache",
        "mlx/peak_step",
        "mlx/footprint",
    }
    assert told[3] == report == {"iteration": 1, "train_loss": 2.0}
    assert theirs == "theirs"
