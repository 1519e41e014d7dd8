"""`mlxtop trace show` and `mlxtop trace export`, as a person uses them."""

import json
import pickle
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mlxtop.cli.main import cli
from mlxtop.cli.trace_text import TraceText
from mlxtop.core.errors import MlxtopError, UsageError
from mlxtop.trace.moments import Moments
from mlxtop.trace.reader import TraceFile
from mlxtop.trace.summary import summary
from tests.process import MLXTOP, ROOT, mlxtop
from tests.trace.test_reader import small
from tests.trace.writer import Writer, context


def mlxtop_trace(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["trace", *arguments], standalone_mode=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return small().save(tmp_path / "train.mlxtrace")


def test_show_tells_the_peak_and_what_was_never_freed(path: Path) -> None:
    text = mlxtop_trace("show", str(path)).output
    assert text == (
        "python train.py\n"
        "mlx 0.32.4 cpu, process 4242, traced for 7ms\n"
        "     peak  6.0 KiB, 3ms after the beginning\n"
        "    alive  2.1 KiB in at least 3 buffers, 100 B of it from before the trace\n"
        "allocated  5.9 KiB in 4 allocations, 1 freed\n"
        "   events  7 of 7: the last 6ms\n"
        "\n"
        "At the peak: 6.0 KiB in 2 buffers, step 1\n"
        "   size  share  buffers  operation\n"
        "3.9 KiB   66 %        1  Matmul\n"
        "2.0 KiB   33 %        1  Softmax\n"
        "  100 B    2 %        —  before the trace\n"
        "\n"
        "   size  share  buffers  line\n"
        "5.9 KiB   98 %        2  /home/me/train.py:12 step\n"
        "  100 B    2 %        —  before the trace\n"
        "\n"
        "   size  share  buffers  of a size\n"
        "3.9 KiB   66 %        1  2.0 KiB to 4.0 KiB\n"
        "2.0 KiB   33 %        1  1.0 KiB to 2.0 KiB\n"
        "\n"
        "Never freed: 2.1 KiB in 3 buffers, with the age of the oldest\n"
        "   size  buffers  age  operation             line\n"
        "2.0 KiB        1  4ms  Softmax               /home/me/train.py:12 step\n"
        "  100 B        —    —  before the trace\n"
        "   20 B        1   0s  outside an operation  outside an evaluation\n"
        "   10 B        1  1ms  Add                   implicit (.item(), printing, NumPy)\n"
        "\n"
        "Churn: 5.9 KiB allocated a step, in 1 step\n"
        " a step  share  allocations  operation\n"
        "3.9 KiB   67 %          1.0  Matmul\n"
        "2.0 KiB   33 %          1.0  Softmax\n"
        "\n"
        "MLX is lazy: a line is where arrays were evaluated, not where they were built.\n"
        "implicit: evaluated without mx.eval, so no line is known.\n"
        "outside an operation: MLX ran none, for example in mx.array of a list.\n"
        "before the trace: allocated before it began, so operation, line and size are not known.\n"
    )


def told(writer: Writer, path: Path, top: int = 10, width: int | None = 80) -> list[str]:
    with TraceFile(writer.save(path)) as trace:
        moments = Moments(trace)
    return str(TraceText(summary(moments, moments.peak), top, width)).splitlines()


def test_nothing_is_wider_than_the_terminal(tmp_path: Path) -> None:
    writer = Writer(sites_capacity=64, command=("python", *["an argument"] * 40))
    for number in range(20):
        where = context("train", f"/a/very/long/way/{'down/' * 20}module_{number}.py:{number} {'f' * 40}")
        writer.begin(where)
        writer.allocate(
            number + 8, 1000 + number, writer.site(f"Compiled{'MultiplyAdd' * 20}{number}", where)
        )
        writer.end()
    lines = told(writer, tmp_path / "t", top=3)
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("… 17 more, ") for line in lines) == 4
    # A line is told by its end, an operation by its beginning.
    assert any(line.endswith("f" * 30) and "…" in line for line in lines)
    assert any(line.endswith("…") and "CompiledMultiply" in line for line in lines)
    whole = told(writer, tmp_path / "t", width=None)
    assert any("/a/very/long/way/" in line for line in whole)


def test_what_the_trace_cannot_know_is_said(tmp_path: Path) -> None:
    writer = Writer(capacity=4, min_size=10, closed=False)
    site = writer.site("Add")
    for number in range(8):
        writer.allocate(number + 8, 100, site)
    for number in range(8):
        writer.free(number + 8)
    writer.lost = 3
    lines = told(writer, tmp_path / "t")
    text = " ".join(line.strip() for line in lines)
    assert (
        "That moment is older than the ring, so its sizes are not known: trace with larger --events." in text
    )
    assert "Buffers under 10 B are counted, but their events were not kept" in text
    assert "3 allocations found the live table full: what is alive is at least this." in text
    assert "The file was not closed: the program still runs, or was killed." in text
    assert "Churn is not known: the events hold no whole step, which is an mx.eval from Python." in text
    assert "Nothing is alive: everything was freed." in text


def test_a_peak_that_was_not_kept_is_not_called_one(tmp_path: Path) -> None:
    writer = Writer(capacity=4)
    site = writer.site("Add")
    writer.allocate(8, 1000, site)
    kept = writer.slots
    writer.slots = list(kept)
    writer.allocate(9, 500, site)
    writer.slots = kept
    writer.free(9)
    for number in range(3):
        writer.allocate(number + 10, 0, site)
        writer.free(number + 10)
    lines = told(writer, tmp_path / "t")
    assert "Shortly before the peak: 1000 B in 1 buffer" in lines
    assert "The peak itself was 500 B higher: what was alive then was not kept." in lines


def test_a_name_in_a_trace_is_text(tmp_path: Path) -> None:
    writer = Writer(command=("\x1b[2Jpython",), backend="\x1b]0;x\x07")
    writer.allocate(8, 100, writer.site("\x1b[31mred[bold]", context("p", "/a\x9b.py:1 f")))
    text = "\n".join(told(writer, tmp_path / "t"))
    assert not any((ord(letter) < 32 and letter != "\n") or 0x7F <= ord(letter) < 0xA0 for letter in text)
    assert "[bold]" in text


def test_show_goes_to_another_moment(path: Path) -> None:
    assert "At 2ms: 4.0 KiB in 1 buffer, step 1" in mlxtop_trace("show", str(path), "--at", "0.002").output
    assert "At 7ms: 2.1 KiB in 3 buffers" in mlxtop_trace("show", str(path), "--at", "end").output


def test_a_moment_that_is_not_known_is_refused(tmp_path: Path) -> None:
    writer = Writer(capacity=4)
    for number in range(8):
        writer.allocate(number + 8, 100, writer.site("Add"))
    path = writer.save(tmp_path / "t")
    result = mlxtop_trace("show", str(path), "--at", "0.002")
    assert isinstance(result.exception, UsageError)
    assert str(result.exception) == (
        "What was alive at 0.002 s is not known: the events begin at 0.005 s; trace with larger --events."
    )


def test_show_json_has_every_row(path: Path) -> None:
    found = json.loads(mlxtop_trace("show", str(path), "--json", "--top", "1").output)
    assert (found["peak"], found["active"], found["command"]) == (6100, 2130, ["python", "train.py"])
    assert found["at"]["lines"] == [
        {"name": "/home/me/train.py:12 step", "bytes": 6000, "buffers": 2},
        {"name": "before the trace", "bytes": 100, "buffers": 0},
    ]
    assert found["at"]["sizes"][0] == {"least": 2048, "limit": 4096, "bytes": 4000, "buffers": 1}
    assert [one["operation"] for one in found["alive"]][:2] == ["Softmax", "before the trace"]
    assert found["churn"] == {
        "steps": 1,
        "operations": [
            {"name": "Matmul", "bytes": 4000, "buffers": 1},
            {"name": "Softmax", "bytes": 2000, "buffers": 1},
        ],
    }
    assert found["ring"] == {"events": 7, "written": 7, "torn": 0, "seconds": 0.006}


SUFFIXES = {
    "memory-viz": ".pickle",
    "pprof": ".pb.gz",
    "folded": ".folded",
    "perfetto": ".pftrace",
    "json": ".json",
}


@pytest.mark.parametrize(("form", "suffix"), SUFFIXES.items())
def test_export_writes_beside_the_trace_and_nothing_over(path: Path, form: str, suffix: str) -> None:
    out = path.with_suffix(suffix)
    assert mlxtop_trace("export", str(path), "--format", form).output == f"{out}\n"
    written = out.read_bytes()
    assert written
    again = mlxtop_trace("export", str(path), "--format", form)
    assert isinstance(again.exception, UsageError)
    assert str(again.exception) == f"{out} exists: name it with -o to replace it, or another file."
    assert mlxtop_trace("export", str(path), "--format", form, "-o", str(out)).exception is None
    assert out.read_bytes() == written


def test_export_spares_the_trace(path: Path) -> None:
    result = mlxtop_trace("export", str(path), "--format", "json", "-o", str(path))
    assert isinstance(result.exception, UsageError)
    assert str(result.exception) == f"{path} is the trace itself: choose another file with -o."


def test_a_moment_can_be_exported(path: Path) -> None:
    lines = mlxtop_trace(
        "export", str(path), "--format", "folded", "--at", "end", "-o", "-"
    ).output.splitlines()
    assert "implicit (.item(), printing, NumPy);Add 10" in lines
    assert not any("Matmul" in line for line in lines)


@pytest.mark.parametrize("size", ["unlimited", "default"])
def test_what_is_no_least_size_is_refused(path: Path, size: str) -> None:
    result = mlxtop_trace("export", str(path), "--format", "json", "--min-size", size)
    assert isinstance(result.exception, UsageError)
    assert str(result.exception) == "--min-size takes a size, for example 64K."


@pytest.mark.parametrize("at", ["nan", "-1", "x", ""])
def test_a_moment_that_cannot_be_is_refused(path: Path, at: str) -> None:
    result = mlxtop_trace("show", str(path), "--at", at)
    assert type(result.exception).__name__ == "BadParameter"


def test_what_is_no_trace_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "a.mlxtop"
    other.write_bytes(b"SQLite format 3\0")
    for command in (
        ["show", str(other)],
        ["export", str(other), "--format", "json", "-o", str(tmp_path / "o")],
    ):
        result = mlxtop_trace(*command)
        assert isinstance(result.exception, MlxtopError)
        assert str(result.exception) == f"{other} is not an mlxtop trace."
    assert not (tmp_path / "o").exists()


@pytest.mark.usefixtures("processes")
def test_binary_goes_through_standard_output(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with out.open("wb") as file:
        done: Any = mlxtop_to(file, "trace", "export", str(path), "--format", "memory-viz", "-o", "-")
    assert (done.returncode, done.stderr) == (0, b"")
    assert pickle.loads(out.read_bytes())["segments"]
    refused = mlxtop("trace", "show", str(out))
    assert (refused.returncode, refused.stderr) == (1, f"mlxtop: {out} is not an mlxtop trace.\n")


def mlxtop_to(file: Any, *arguments: str) -> Any:
    return subprocess.run(
        [*MLXTOP, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=file,
        stderr=subprocess.PIPE,
        timeout=60,
    )
