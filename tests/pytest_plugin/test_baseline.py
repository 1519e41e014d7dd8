"""A baseline holds a project to what its tests needed before; the tests know nothing of it."""

import json
import re
from pathlib import Path

import pytest

from mlxtop.core.errors import UsageError
from mlxtop.pytest_plugin.baseline import Baseline, Entry, device, read_tolerance
from mlxtop.pytest_plugin.figures import Figures
from tests.pytest_plugin.inner import Inner

pytest_plugins = ["pytester"]
MIB = 2**20
FILE = "--mlx-baseline=kept/needs.json"
FRAMES = """
import os
import mlx.core as mx

def test_frames():
    frames = mx.zeros((int(os.environ["TEST_FRAMES"]), 2**18))
    mx.eval(frames)
"""


def test_a_project_keeps_what_its_tests_need(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_FRAMES", "50")
    pytester.makepyfile(test_frames=FRAMES)
    suite = Inner(pytester, "perceptron", "language_model")
    path = pytester.mkdir("kept") / "needs.json"
    bare = suite.run("-pno:mlxtop")
    assert len(bare.ends) == 8
    assert set(bare.ends.values()) == {"passed"}

    assert "is not there: make it with --mlx-baseline-update." in suite.run(FILE).result.stderr.str()
    first = suite.run(FILE, "--mlx-baseline-update", "--mlx-all")
    assert first.ends == bare.ends
    assert first.summary[0].startswith(
        "needs.json: 8 of 8 measured tests were written (test_frames.py::test_fr"
    )
    kept = path.read_text()
    assert json.loads(kept)[device()]["test_frames.py::test_frames"].keys() == {"peak"}

    # What is temporary is more or less on a machine that has other work.
    again = suite.run(FILE, "--mlx-all", "--mlx-tolerance=1000")
    assert again.ends == bare.ends
    assert again.summary == ["needs.json: 8 of 8 measured tests need no more than it says."]
    assert path.read_text() == kept

    monkeypatch.setenv("TEST_FRAMES", "55")
    more = suite.run(FILE, "--mlx-all", "test_frames.py")
    assert more.ends == {"test_frames": "failed"}
    told = more.told("test_frames")
    assert "rose 55.0 MiB over its start: needs.json has 50.0 MiB, and 5 % more is allowed." in told
    assert re.search(r"The step that made the peak is mx.eval at \w+/test_frames.py:6\.", told)
    assert "frames in test_frames.py:6 test_frames()" in told

    monkeypatch.setenv("TEST_FRAMES", "40")
    less = suite.run(FILE, "--mlx-all", "--mlx-baseline-update", "test_frames.py")
    assert less.summary == ["needs.json: 1 of 1 measured tests were written (test_frames.py::test_frames)."]
    before, after = json.loads(kept)[device()], json.loads(path.read_text())[device()]
    assert {test for test in before if before[test] != after[test]} == {"test_frames.py::test_frames"}


def figures(peak: int, growth: int | None = None) -> Figures:
    return Figures(peak, growth or 0, 0, 0.1, growth is not None, "this")


def test_what_is_worse_better_and_missing(tmp_path: Path) -> None:
    entries = {"this": {"a": Entry(100 * MIB, 0), "b": Entry(100 * MIB), "small": Entry(10)}}
    kept = Baseline(tmp_path / "b.json", entries, 0.05, False)
    found = kept.limits("a", "this")
    assert found is not None
    peak, growth = found
    assert growth is not None
    assert (peak.size, growth.size) == (105 * MIB, 64 * 1024)
    assert peak.source == "b.json has 100.0 MiB, and 5 % more is allowed"
    assert growth.source == "b.json has 0 B, and 64.0 KiB more is allowed"
    small = kept.limits("small", "this")
    assert small is not None
    assert small[0].source == "b.json has 10 B, and 1.0 MiB more is allowed"
    assert kept.limits("a", "other device") is None
    results = {"a": figures(94 * MIB, 0), "b": figures(104 * MIB), "new": figures(1)}
    assert kept.missing(results) == ["new"]
    assert kept.better(results) == {"a": (100 * MIB, 94 * MIB)}
    assert kept.renew(results) == ["a", "new"]
    assert kept.entries["this"]["b"] == Entry(100 * MIB)
    kept.write()
    assert kept.path.read_text() == kept.to_json()
    assert json.loads(kept.to_json())["this"]["a"] == {"peak": 94 * MIB, "growth": 0}
    updating = Baseline(kept.path, kept.entries, 0.05, True)
    assert updating.limits("a", "this") is None


@pytest.mark.parametrize("words", ["", "%", "-1%", "nan", "five", "1e9"])
def test_a_tolerance_that_is_none(words: str) -> None:
    with pytest.raises(UsageError, match="is not a percentage: write 5%"):
        read_tolerance(words)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"mlxtop_baseline": 2}', '{"mlxtop_baseline": 1, "x": 3}',
             '{"mlxtop_baseline": 1, "x": {"y": {"peak": -1}}}', '{"mlxtop_baseline": 1, "x": {"y": 3}}'],
)  # fmt: skip
def test_a_file_that_is_no_baseline(pytester: pytest.Pytester, text: str) -> None:
    pytester.path.joinpath("b.json").write_text(text)
    config = pytester.parseconfig("--mlx-baseline=b.json")
    with pytest.raises(UsageError, match=r"b\.json is no baseline of --mlx-baseline-update"):
        Baseline.of(config)
