"""Marks and the fixture hold tests to their memory, and say what broke a limit."""

import re

import pytest

from tests.pytest_plugin.inner import Inner

pytest_plugins = ["pytester"]
MEANT = {"passed": "passes", "failed": "fails", "error": "errors", "skipped": "skips", "xfailed": "xfails"}
ABOVE = r"""MLX's active memory rose 11\.0 MiB over its start: mlx_peak allows 10\.0 MiB\.
Start 12\.0 MiB, peak 23\.0 MiB, end 12\.0 MiB, cache \d+\.\d MiB\.
The step that made the peak is mx\.eval at \w+/test_limits\.py:27, called at \w+/test_limits\.py:\d+\.

Alive right after it, 23\.0 MiB in all:

    size  part   shape      type     held by
12\.0 MiB  other  12×262144  float32  fixture given
 8\.0 MiB  other  8×262144   float32  made in test_limits\.py:27 megabytes\(\)
 3\.0 MiB  other  3×262144   float32  first in test_limits\.py:\d+ test_fails_above\(\)"""
LEAK = """MLX's active memory grew by 8.0 MiB in each run of the test: mlx_leaks allows 1.0 MiB.

What one run left behind:

  change  arrays        part   shape     type     held by
+8.0 MiB      +1  grew  other  8×262144  float32  Store.kept[…]"""


def test_tests_end_as_their_names_say(pytester: pytest.Pytester) -> None:
    run = Inner(pytester, "limits").run("--mlx-report")
    assert len(run.ends) == 30
    assert {test: end for test, end in run.ends.items() if MEANT[end] not in test} == {}

    assert re.fullmatch(ABOVE, run.told("test_fails_above"))
    assert run.told("test_fails_by_a_leak") == LEAK
    assert "KEPT[…] in test_limits.py" in run.told("test_fails_in_a_coroutine")
    assert "No mx.eval made the peak" in run.told("test_fails_without_an_eval")
    absolute = run.told("test_fails_absolute")
    assert "All of it was active when the test began." in absolute
    assert "fixture given" in absolute
    assert "This was run 2: mlx_leaks repeats" in run.told("test_fails_the_second_time")
    assert "of its own" in run.told("test_fails_itself")
    assert run.told("test_errors_with_a_wrong_word").endswith("it was given (limit=1, warm=2).")
    assert "mlx_memory.limit allows 1.0 MiB" in run.told("test_fails_by_the_fixture")

    head, first, *_ = run.summary
    assert head.split() == ["peak", "growth", "cache", "time", "test"]
    assert first.split()[:4] == ["24.0", "MiB", "+8.0", "MiB"]
    assert first.split()[-2:] == ["test_limits.py::test_fails_by_a_leak", "failed"]
    assert len(run.summary) == 1 + 30 - 5  # two errors, two without a mark, one that asks late
