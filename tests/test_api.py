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
