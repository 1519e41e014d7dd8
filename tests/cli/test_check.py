"""`mlxtop check` around real programs: they are as they are without, and are judged by what they did."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mlxtop.cli.job_summary import SUMMARY
from mlxtop.mlx.trace import native
from mlxtop.recording.reader import Recording
from tests.agent.program import LEISURE
from tests.process import MLXTOP, ROOT

MIB = 2**20
PROGRAMS = {
    "good": """
import sys
print("to stdout", sys.argv[1:], sys.stdin.read())
print("to stderr", file=sys.stderr)
mx.eval(mx.ones((1024, 1024)) + 1)
""",
    "spike": """
mx.eval(mx.ones((8, 1024, 1024)) + 1)
mx.reset_peak_memory()
""",
    "buffers": """
kept = [mx.full((4,), n) for n in range(500)]
mx.eval(kept)
""",
    "leak": """
import time
def main():
    kept, end = [], time.monotonic() + 11
    while time.monotonic() < end:
        kept.append(mx.ones((64, 1024)) + 1)
        mx.eval(kept[-1])
        time.sleep(0.05)
main()
""",
    "raises": """
mx.eval(mx.ones((8, 1024, 1024)) + 1)
raise ValueError("on purpose")
""",
    "killed": """
import os, signal
mx.eval(mx.ones(9))
os.kill(os.getpid(), signal.SIGKILL)
""",
    "interrupted": """
import time
mx.eval(mx.ones((1024, 1024)))
try:
    print("ready", flush=True)
    time.sleep(100)
except KeyboardInterrupt:
    print("saved")
""",
    "ranks": """
import os, subprocess, sys
code = "import mlx.core as mx, sys; {leisure}; mx.eval(mx.ones((int(sys.argv[1]), 1024, 1024)))"
for rank in range(2):
    env = {**os.environ, "MLX_RANK": str(rank)}
    subprocess.run([sys.executable, "-c", code, str(1 + 7 * rank)], env=env, check=True)
""",
    "none": "print('no MLX')",
}
OPTIONS = {
    "good": ("--peak", "16M", "--total", "64M", "--cache", "64M", "--footprint", "4G", "--buffers", "1k"),
    "spike": ("--peak", "16M", "--growth", "1M/min", "--markdown", "{}/spike.md"),
    "buffers": ("--peak", "64M", "--buffers", "400"),
    "leak": ("--peak", "1M", "--growth", "1M/min", "--warm-up", "0"),
    "raises": ("--peak", "16M", "--record", "{}/raises.mlxtop"),
    "killed": ("--peak", "16M", "--record", "{}/killed.mlxtop"),
    "ranks": ("--peak", "16M"),
    "interrupted": ("--peak", "16M"),
    "none": ("--peak", "16M"),
}
NO_MLX = ("ranks", "none")
"""Programs that do not import it themselves."""


class Done(NamedTuple):
    code: int
    out: str
    err: str
    told: dict[str, Any]

    @property
    def verdicts(self) -> dict[str, str]:
        """Of the last process where there are several."""
        return {finding["bound"]: finding["verdict"] for finding in self.told["bounds"]}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, processes: None) -> Mapping[str, Done]:
    """All of them at once: one takes eleven seconds, in which it mostly sleeps."""
    folder = tmp_path_factory.mktemp("check")
    (folder / "summary.md").write_text("before\n")
    with ThreadPoolExecutor(len(PROGRAMS)) as pool:
        return dict(zip(PROGRAMS, pool.map(lambda name: _run(name, folder), PROGRAMS), strict=True))


def _run(name: str, folder: Path) -> Done:
    script, told = folder / f"{name}.py", folder / f"{name}.json"
    script.write_text(
        ("" if name in NO_MLX else f"import mlx.core as mx; {LEISURE}")
        + PROGRAMS[name].replace("{leisure}", LEISURE)
    )
    options = [option.format(folder) for option in OPTIONS[name]]
    program = subprocess.Popen(
        [*MLXTOP, "check", *options, "--json", str(told), "--", sys.executable, str(script), "-x", "--"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, SUMMARY: str(folder / "summary.md"), "XDG_STATE_HOME": str(folder)},
    )  # fmt: skip
    assert program.stdin is not None
    assert program.stdout is not None
    first = ""
    if name == "interrupted":
        first = program.stdout.readline()
        program.send_signal(signal.SIGINT)
    out, err = program.communicate("typed", timeout=120)
    return Done(program.returncode, first + out, err, json.loads(told.read_text()))


def test_a_program_that_keeps_within_its_bounds(done: Mapping[str, Done], tmp_path: Path) -> None:
    good = done["good"]
    if native.load() is None:
        assert good.code == 2
        return
    assert (good.code, good.out) == (0, "to stdout ['-x', '--'] typed\n")
    assert good.verdicts == dict.fromkeys(("peak", "total", "cache", "footprint", "buffers"), "kept")
    said, table, *rows = good.err.splitlines()[1:]
    assert said.endswith("good.py -x -- ended with exit code 0; all 5 bounds are kept.")
    assert table.split() == ["bound", "measured", "allowed", "verdict"]
    assert rows[0].split()[-3:] == ["16.0", "MiB", "kept"]
    assert len(rows) == 5
    measured = {finding["bound"]: finding["measured"] for finding in good.told["bounds"]}
    assert measured["total"] >= measured["peak"] >= 4 * MIB
    assert measured["footprint"] > 20 * MIB


def test_a_peak_between_two_samples_that_the_program_resets(done: Mapping[str, Done], tmp_path: Path) -> None:
    spike = done["spike"]
    assert spike.code == 1
    assert spike.verdicts == {"peak": "crossed", "growth": "not measured"}
    peak, growth = spike.told["bounds"]
    assert peak["measured"] >= 32 * MIB
    assert (peak["step"]["step"], peak["step"]["caller"].endswith("spike.py:2")) == (1, True)
    assert "made by step 1 at " in spike.err
    assert growth["why"].startswith("not enough data: ")
    # The caller's folder holds what was written beside.
    folder = Path(spike.told["command"][1]).parent
    text = (folder / "spike.md").read_text()
    assert (
        "| peak | 64.0 MiB | 16.0 MiB | crossed |" in text
        or "| peak | 32.0 MiB | 16.0 MiB | crossed |" in text
    )
    assert (folder / "summary.md").read_text() == f"before\n{text}\n\n"


@pytest.mark.skipif(native.load() is None, reason="built without its part in C")
def test_small_buffers_are_counted_and_their_line_is_named(done: Mapping[str, Done]) -> None:
    buffers = done["buffers"]
    assert (buffers.code, buffers.verdicts) == (1, {"peak": "kept", "buffers": "crossed"})
    found = buffers.told["bounds"][1]
    assert found["measured"] >= 500
    assert any("buffers.py:" in holder for holder in found["holders"])
    traces = list((Path(buffers.told["command"][1]).parent / "mlxtop/traces").glob("*"))
    # The one that tells something is kept, and told.
    assert [str(path) in buffers.err for path in traces] == [True]


def test_a_leak_is_found_and_who_holds_it(done: Mapping[str, Done]) -> None:
    leak = done["leak"]
    assert (leak.code, leak.verdicts) == (1, {"peak": "crossed", "growth": "crossed"})
    peak, growth = leak.told["bounds"]
    assert growth["measured"] > MIB / 60
    assert any("kept[" in holder for holder in peak["holders"])


def test_a_program_that_fails_keeps_its_exit_code_and_its_recording(done: Mapping[str, Done]) -> None:
    raises, killed = done["raises"], done["killed"]
    assert (raises.code, killed.code) == (1, 128 + signal.SIGKILL)
    assert raises.told["code"] == 1
    assert raises.verdicts == {"peak": "crossed"}
    assert "ValueError: on purpose" in raises.err
    folder = Path(raises.told["command"][1]).parent
    with closing(Recording(folder / "raises.mlxtop")) as recording:
        assert [about.title.endswith("raises.py -x --") for about in recording.sessions] == [True]
    assert (folder / "killed.mlxtop").exists()


def test_a_program_that_handles_ctrl_c_is_judged(done: Mapping[str, Done]) -> None:
    interrupted = done["interrupted"]
    assert (interrupted.code, interrupted.out) == (0, "ready\nsaved\n")
    assert interrupted.verdicts == {"peak": "kept"}


def test_each_process_is_judged(done: Mapping[str, Done]) -> None:
    ranks = done["ranks"]
    assert ranks.code == 1
    assert [(f["process"]["rank"], f["verdict"]) for f in ranks.told["bounds"]] == [
        (0, "kept"),
        (1, "crossed"),
    ]
    assert "rank 1" in ranks.err


def test_a_program_without_mlx_is_not_taken_for_good(done: Mapping[str, Done]) -> None:
    none = done["none"]
    assert (none.code, none.out, none.verdicts) == (2, "no MLX\n", {"peak": "not measured"})
    assert "it did not use MLX as far as mlxtop could see; check what the command runs" in none.err
