"""`mlxtop follow`, as a person with an iPhone uses it: from the app's line to the report."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.place import Place, after
from tests.e2e.screen import MLXTOP

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]

APP = """\
import itertools, json, os, sys, time
for i in itertools.count():
    if os.path.exists(sys.argv[1]):
        sys.exit(7)
    told = {"active": 500_000_000 + i * 1_000_000, "cache": 3_000_000, "peak": 600_000_000, "pid": 99,
            "footprint": 3_000_000_000, "available": 1_000_000_000, "cacheLimit": 20 << 20,
            "phase": "decode", "tokens": i * 3, "session": sys.argv[2]}
    if i == 3:
        told["mark"] = "warm"
    print("2026-05-15 11:35:46.123 App[99:1a] mlxtop " + json.dumps(told), flush=True)
    if i == 9:
        print("something else", flush=True)
    time.sleep(0.1)
"""
"""An app that prints ten times a second until a file is there."""


def app(place: Place, output: Path | int, name: str = "iPhone") -> "subprocess.Popen[bytes]":
    script = place.script(APP, "app.py")
    into = output if isinstance(output, int) else os.open(output, os.O_WRONLY)
    process = subprocess.Popen([sys.executable, str(script), str(place.folder / "over"), name], stdout=into)
    place._started.append(process)
    return process


def test_a_fifo_at_ten_lines_a_second(place: Place) -> None:
    fifo = place.folder / "console"
    os.mkfifo(fifo)
    screen = place.screen("follow", fifo)
    # An empty dashboard tells what to print.
    screen.wait_for("print(Memory.snapshot())")
    screen.wait_for('mlxtop {"active":')
    screen.wait_for("Limits are set by the program")
    process = app(place, fifo)
    try:
        screen.wait_for("● decode")
        screen.value(r"^ active +[45]\d\d\.\d MiB")
        screen.wait_for("limit 20 MiB")
        screen.value(r" [1-9]\d*\.\d tok/s ")
        screen.wait_for("since “warm”")
        screen.wait_for("something else")
        assert "mlxtop {" not in screen.lines()[-2], "what is a sample is not shown as text"
        # What cannot be set here has no key, and says why.
        screen.value(r"limits +set by the program")
        assert "[" not in screen.lines()[-1]
        screen.press("[", "c", "r", "m")
        screen.wait_for("since “mark 1”")
        screen.value(r" budget +3\.73 GiB last line")
    finally:
        process.kill()
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []


def test_xcrun_is_run_recorded_and_reported(place: Place) -> None:
    """From the command that a person types to the page: `xcrun` stands for a phone that is connected."""
    path, page = place.folder / "run.mlxtop", place.folder / "run.html"
    script = place.script(APP, "app.py")
    fake = place.folder / "bin" / "xcrun"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\necho "launched: $*"\nexec "{sys.executable}" "{script}" "{place.folder / "over"}" iPhone\n'
    )
    fake.chmod(0o755)
    command = [
        "xcrun",
        "devicectl",
        "device",
        "process",
        "launch",
        "--console",
        "--device",
        "ID",
        "com.example.App",
    ]
    environment = {"PATH": f"{fake.parent}{os.pathsep}{os.environ['PATH']}"}
    screen = place.screen("follow", "--record", path, "--budget", "3GB", "--", *command, env=environment)
    screen.wait_for("launched: devicectl device process launch --console --device ID com.example.App")
    screen.wait_for("budget reached")
    screen.wait_for("since “warm”")
    (place.folder / "over").touch()
    screen.wait_for("ended with exit code 7")
    screen.press("q")
    assert screen.exit() == 7, after(screen)
    assert screen.left() == []
    done = place.alone(MLXTOP, "report", path, "-o", page)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert "iPhone" in text
    assert "warm" in text
    done = place.alone(MLXTOP, "export", path, "--format", "jsonl", "-o", "-")
    rows = [json.loads(row) for row in done.stdout.splitlines()]
    assert max(row["active"] for row in rows if row["type"] == "sample") >= 503_000_000


def test_two_devices_stand_side_by_side_and_each_opens(place: Place) -> None:
    out, into = os.pipe()
    both = [app(place, into, name) for name in ("iPhone", "iPad")]
    os.close(into)
    log = place.folder / "both.log"
    log.touch()

    def copy() -> None:
        with os.fdopen(out, "rb") as lines, log.open("ab", buffering=0) as file:
            shutil.copyfileobj(lines, file, 64)

    threading.Thread(target=copy, daemon=True).start()
    screen = place.screen("follow", log)
    try:
        screen.wait_for(lambda text: "iPhone" in text and "iPad" in text)
        screen.wait_for("sum")
        screen.press("enter")
        screen.wait_for("● decode")
    finally:
        for process in both:
            process.kill()
    screen.press("q")
    assert screen.exit() == 0


def test_json_and_the_summary_without_a_screen(place: Place) -> None:
    log = "\n".join(
        f'mlxtop {{"active":{n},"cache":1,"peak":{n},"t":{n},"session":"{name}"}}'
        for n in (5, 6)
        for name in "ab"
    )
    done = place.alone(MLXTOP, "follow", "-", "--json", input=log)
    rows = [json.loads(row) for row in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    found = [(row["session"], row["active"]) for row in rows if row["type"] == "sample"]
    assert sorted(found) == [("a", 5), ("a", 6), ("b", 5), ("b", 6)]
    assert [row["session"] for row in rows if row["type"] == "summary"] == ["a", "b"]
    again = place.alone(MLXTOP, "follow", "-", "--headless", input=done.stdout)
    assert "Active: 6 B (6)" in again.stdout, "mlxtop follows its own JSON"
    nothing = place.alone(MLXTOP, "follow", "--headless", "--", "sh", "-c", "echo no such device; exit 4")
    assert nothing.returncode == 4
    assert "no such device" in place.alone(MLXTOP, "follow", "--json", "--", "echo", "no such device").stderr
    assert "no such device" in nothing.stderr
    assert "print(Memory.snapshot())" in nothing.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "Give one thing to follow"),
        (("a", "b"), "Give one thing to follow"),
        (("a", "--", "ls"), "Give one thing to follow"),
        (("-", "--budget", "cgroup", "--headless"), "name a size"),
        (("-", "--budget", "1G", "--on-budget", "clear", "--headless"), "only reads"),
        (("/no/such/folder/log", "--headless"), "Could not follow"),
        (("-", "--pattern", "(", "--headless"), "no regular expression"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_a_sentence(
    place: Place, arguments: tuple[str, ...], sentence: str
) -> None:
    done = place.alone(MLXTOP, "follow", *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


CXX = """\
#include "mlx/mlx.h"
#include "memory_report.hpp"
namespace mx = mlx::core;
int main() {
  MemoryReport report(std::chrono::milliseconds(10));
  report.phase("load");
  auto kept = mx::ones({1024, 1024});
  mx::eval(kept);
  report.mark("loaded \\"it\\"");
  report.phase("work");
  mx::eval(mx::ones({2048, 1024}));
  report.mark("worked");
}
"""


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
def test_a_program_in_cxx_is_seen_by_what_it_prints(place: Place) -> None:
    """MLX's own C++ library, as the wheel brings it, and the file that docs/ offers."""
    found = subprocess.run(
        [sys.executable, "-c", "import mlx.core, pathlib; print(pathlib.Path(mlx.core.__file__).parent)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    mlx = Path(found.stdout.strip())
    source, program = place.script(CXX, "program.cpp"), place.folder / "program"
    built = subprocess.run(
        ["c++", "-std=c++20", "-O0", "-I", ROOT / "docs/examples", "-isystem", mlx / "include", source,
         "-L", mlx / "lib", "-lmlx", f"-Wl,-rpath,{mlx / 'lib'}", "-pthread", "-o", program],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if built.returncode and "stop_token" in built.stderr:
        pytest.skip("this compiler has no std::jthread")
    assert built.returncode == 0, built.stderr
    done = place.alone(MLXTOP, "follow", "--json", "--", program)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(row) for row in done.stdout.splitlines()]
    marks = {row["name"]: row for row in rows if row.get("kind") == "mark"}
    assert marks['loaded "it"']["active"] == 4 * 2**20
    assert marks["worked"]["peak"] >= 12 * 2**20
    phases = [row["phase"] for row in rows if row.get("kind") == "phase"]
    assert phases[-3:] == ["load", "work", "ended"]


RUST = """\
mod memory_report;
use std::{ffi::c_void, time::Duration};
#[repr(C)]
#[derive(Clone, Copy)]
struct Handle(*mut c_void);
extern "C" {
    fn mlx_array_new() -> Handle;
    fn mlx_array_free(array: Handle) -> i32;
    fn mlx_array_eval(array: Handle) -> i32;
    fn mlx_default_cpu_stream_new() -> Handle;
    fn mlx_ones(result: *mut Handle, shape: *const i32, rank: usize, dtype: u32, stream: Handle) -> i32;
}
fn ones(rows: i32) -> Handle {
    let float32 = 10;
    unsafe {
        let mut array = mlx_array_new();
        assert_eq!(mlx_ones(&mut array, [rows, 1024].as_ptr(), 2, float32, mlx_default_cpu_stream_new()), 0);
        assert_eq!(mlx_array_eval(array), 0);
        array
    }
}
fn main() {
    memory_report::start(Duration::from_millis(10));
    memory_report::phase("load");
    let kept = ones(1024);
    memory_report::mark("loaded \\"it\\"");
    memory_report::phase("work");
    unsafe { mlx_array_free(ones(2048)) };
    memory_report::mark("worked");
    unsafe { mlx_array_free(kept) };
}
"""


@pytest.mark.skipif(
    shutil.which("rustc") is None or "MLX_C" not in os.environ,
    reason="needs rustc and mlx-c: MLX_C names the folder where it is installed",
)
def test_a_program_in_rust_over_mlx_c_is_seen_by_what_it_prints(place: Place) -> None:
    source, program = place.script(RUST, "main.rs"), place.folder / "program"
    shutil.copy(ROOT / "docs/examples/memory_report.rs", place.folder)
    libraries = Path(os.environ["MLX_C"], "lib")
    built = subprocess.run(
        ["rustc", "--edition", "2021", source, "-L", libraries, "-l", "mlxc",
         "-o", program],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    path = os.pathsep.join((str(libraries), os.environ.get("LD_LIBRARY_PATH", "")))
    done = place.alone(MLXTOP, "follow", "--json", "--", "env", f"LD_LIBRARY_PATH={path}", program)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(row) for row in done.stdout.splitlines()]
    marks = {row["name"]: row for row in rows if row.get("kind") == "mark"}
    assert 4 * 2**20 <= marks['loaded "it"']["active"] < 5 * 2**20
    assert marks["worked"]["peak"] >= 12 * 2**20


def test_a_report_of_jetsam_lies_on_the_axis_of_its_recording(place: Place) -> None:
    """A report of our own making, in the form that Apple documents."""
    path, report = place.folder / "run.mlxtop", place.folder / "JetsamEvent-2026.ips"
    log = "\n".join(
        f'mlxtop {{"active":5,"cache":1,"peak":7,"footprint":{n},"t":{n},"session":"App"}}' for n in (1, 3)
    )
    done = place.alone(MLXTOP, "follow", "-", "--headless", "--record", path, input=log)
    assert done.returncode == 0, done.stderr

    def write(at: float) -> None:
        head = {"bug_type": "298", "timestamp": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.00 +0000"),
                "os_version": "iPhone OS 26.4 (23E246)"}  # fmt: skip
        body = {
            "product": "iPhone17,1", "memoryStatus": {"pageSize": 16384}, "largestProcess": "App",
            "processes": [
                {"pid": 99, "name": "App", "rpages": 200_000, "lifetimeMax": 210_000, "coalition": 5,
                 "reason": "per-process-limit", "states": ["frontmost"]},
                {"pid": 100, "name": "AppHelper", "rpages": 1000, "coalition": 5},
            ],
        }  # fmt: skip
        report.write_text(json.dumps(head) + "\n" + json.dumps(body))

    at = int(time.time()) + 4.0
    write(at)
    done = place.alone(MLXTOP, "follow", report, path)
    assert done.returncode == 0, done.stderr
    for told in ("iPhone17,1", "App, process 99", "per-process-limit", "3.05 GiB (200,000 pages of 16,384 bytes)",
                 "2 processes, 3.07 GiB together", "Largest:    App", "run.mlxtop, App, at 0:00:0"):  # fmt: skip
        assert told in done.stdout
    as_json = json.loads(place.alone(MLXTOP, "follow", report, path, "--json").stdout)
    assert as_json["ended"][0]["footprint"] == 200_000 * 16384
    assert as_json["place"]["last_sample"]["footprint"] == 3
    write(at - as_json["place"]["time"] + 1.5)  # of which the report keeps whole seconds
    earlier = json.loads(place.alone(MLXTOP, "follow", report, path, "--json").stdout)
    assert earlier["place"]["last_sample"]["footprint"] == 1, "what was told before the event"
    write(at)
    screen = place.screen("follow", report, path)
    screen.wait_for("jetsam ended App (per-process-limit, 3.05 GiB)")
    screen.press("q")
    assert screen.exit() == 0
    write(time.time() - 86_400)
    assert "nothing from that time" in place.alone(MLXTOP, "follow", report, path).stdout
    report.write_text("{}")
    assert "no report of jetsam" in place.alone(MLXTOP, "follow", report).stderr


GROWS = """\
import itertools, time
for i in itertools.count(1):
    print('mlxtop {"active":5,"cache":1,"peak":5,"footprint":%d}' % (i * 10**7))
    time.sleep(0.01)
"""


def test_a_command_is_stopped_at_its_budget(place: Place) -> None:
    command = (sys.executable, "-u", str(place.script(GROWS)))
    budget = ("--budget", "300MB", "--on-budget", "stop")
    done = place.alone(MLXTOP, "follow", "--headless", *budget, "--", *command)
    assert done.returncode == 1
    assert "stopped at the budget of 286.1 MiB" in done.stderr
    assert place.processes() == set()
