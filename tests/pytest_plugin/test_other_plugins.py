"""The plugin beside others, and where it has nothing to do."""

import json
import xml.etree.ElementTree as ElementTree

import mlx.core as mx
import pytest

from mlxtop.mlx import peak_watch
from mlxtop.pytest_plugin.baseline import device
from tests.pytest_plugin.inner import SUITES, Inner

pytest_plugins = ["pytester"]
MIB = 2**20
NOTHING = """
import sys
import pytest

OURS = "mlx", "mlxtop", "numpy", "textual", "rich"

assert {m for m in sys.modules if m.partition(".")[0] in OURS} == {"mlxtop", "mlxtop.pytest_plugin"}

def test_no_test_before_a_marked_one_pays():
    assert not sys.modules.keys() & {"mlx", "numpy", "textual", "rich"}
    sys.modules["mlx.core"] = None  # as where it is not installed

@pytest.mark.mlx_peak("1MiB")
def test_skips():
    assert False

@pytest.mark.skip("of its own")
@pytest.mark.mlx_leaks("1MiB")
def test_skips_itself():
    assert False
"""


def test_workers_repeats_and_memray(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, processes: None
) -> None:
    pytest.importorskip("pytest_memray")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(test_together=(SUITES / "together.py").read_text())
    known = {"test_needs_more": 40, "test_needs_less": 9, "test_needs_it_the_first_time_only": 2}
    entries = {f"test_together.py::{name}": {"peak": size * MIB} for name, size in known.items()}
    pytester.path.joinpath("known.json").write_text(json.dumps({"mlxtop_baseline": 1, device(): entries}))
    plugins = "xdist.plugin", "pytest_rerunfailures", "pytest_memray.plugin", "mlxtop.pytest_plugin"
    result = pytester.runpytest_subprocess(
        *(f"-p{name}" for name in plugins), "-n1", "--reruns=1", "--memray", "--mlx-report",
        "--mlx-baseline=known.json", "--junit-xml=out.xml",
    )  # fmt: skip
    result.assert_outcomes(passed=4, failed=2)
    told = result.stdout.str()
    assert "MLX's active memory rose 44.0 MiB over its start: known.json has 40.0 MiB, and 5 % more" in told
    assert "known.json has nothing for 1 test on this device and MLX (test_together.py::test_is_new)" in told
    assert (
        "1 test needs less than known.json says (test_together.py::test_needs_less 9.0 MiB → 5.0 MiB)" in told
    )
    assert "MEMRAY REPORT" in told
    table = told[told.index("= memory of MLX =") :].splitlines()[2:7]
    assert [line.split()[:2] for line in table] == [
        ["44.0", "MiB"],
        ["5.0", "MiB"],
        ["3.0", "MiB"],
        ["2.0", "MiB"],
        ["1.0", "MiB"],
    ]
    properties = {
        (case.get("name"), one.get("name")): one.get("value")
        for case in ElementTree.parse(pytester.path / "out.xml").iter("testcase")
        for one in case.iter("property")
    }
    assert int(properties["test_needs_less", "mlx_peak"] or 0) // MIB == 5
    assert ("test_is_not_measured", "mlx_peak") not in properties


def test_where_nobody_asks_nothing_is_imported(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, processes: None
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(NOTHING)
    result = pytester.runpytest_subprocess("-pmlxtop.pytest_plugin", "-rs", "-v")
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["*mlx_peak cannot be measured: MLX cannot start here (*", "*of its own*"])


ENDS = """
import pytest
import mlx.core as mx

@pytest.mark.mlx_peak("1MiB")
def test_ends():
    mx.eval(mx.zeros((3,)))
    pytest.exit("enough")
"""


def test_an_end_of_the_run_leaves_mlx_as_it_was(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(ENDS)
    Inner(pytester).run()
    assert not hasattr(mx.eval, "__wrapped__")
    assert not hasattr(mx.reset_peak_memory, "__wrapped__")


def test_an_error_of_ours_fails_nothing(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise RuntimeError("out of order")

    pytester.makepyfile(ENDS.replace('pytest.exit("enough")', "mx.eval(mx.ones((2**20,)))"))
    monkeypatch.setattr(peak_watch, "settle_to", fail)
    run = Inner(pytester).run("-W", "default")
    assert run.ends == {"test_ends": "passed"}
    run.result.stdout.fnmatch_lines(["*Measuring MLX's memory failed: RuntimeError: out of order (*"])
    # Where warnings are errors, it is still none.
    assert Inner(pytester).run("-W", "error").ends == {"test_ends": "passed"}


def test_without_the_plugin_a_mark_is_unknown(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(ENDS)
    assert Inner(pytester).run("-pno:mlxtop").ends == {}
