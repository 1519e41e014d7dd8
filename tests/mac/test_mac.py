"""mlxtop on a simulated Mac, from end to end."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.agent.program import until
from tests.e2e.place import BUSY, leave
from tests.e2e.screen import MLXTOP
from tests.mac import MORE
from tests.mac.place import Mac

SIZES = ((80, 24), (120, 40), (200, 50))
WORKS = """\
import os, subprocess, sys, time
import mlx.core as mx
x = mx.ones((1024, 1024)); mx.eval(x)
assert not hasattr(os, "waitid") and not os.path.exists("/proc/self")
print(sys.platform, flush=True)
time.sleep(0.3)
sys.exit(3)
"""


def test_info(mac: Mac) -> None:
    done = mac.alone(MLXTOP, "info", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["device"], found["backend"], found["os"]) == ("Apple M3 Max", "Metal", "macOS 15.5 (24F74)")
    assert found["footprint"]["kind"] == "phys_footprint"
    assert found["footprint"]["bytes"] > MORE
    assert (found["system"]["pressure"], found["system"]["swap_used"]) == ("normal", 512 * 2**20)


def test_headless(mac: Mac) -> None:
    done = mac.alone(MLXTOP, "--headless", "--prompt", "hello", "--max-tokens", "4")
    assert done.returncode == 0, done.stderr
    assert "Ending memory" in done.stdout
    assert "Traceback" not in done.stderr


def test_run_headless(mac: Mac) -> None:
    """`os.waitid` is not there: the program's exit code is told all the same, and its recording is whole."""
    recording = mac.folder / "run.mlxtop"
    script = mac.script(WORKS)
    done = mac.alone(MLXTOP, "run", "--headless", "--record", recording, "--", sys.executable, script)
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("darwin\n")
    assert "ended with exit code 3" in done.stderr
    exported = mac.alone(MLXTOP, "export", recording, "--format", "jsonl")
    assert exported.returncode == 0, exported.stderr
    assert mac.processes() == set()


def test_the_dashboard_at_three_sizes_and_beside_it_ps_and_top(mac: Mac) -> None:
    script = mac.script(BUSY)
    stranger = mac.start(script)
    screen = mac.run(script, columns=SIZES[0][0], rows=SIZES[0][1])
    for columns, rows in SIZES:
        if (columns, rows) != SIZES[0]:
            screen.resize(columns, rows)
        # What a user of a Mac looks for first has its place at every size.
        screen.wait_for("working set 96.00 GiB")
        screen.value(r"pressure normal(?s:.*) cache +[\d.]+ [KMG]?i?B ")
        assert screen.overruns == []
    (pid,) = mac.processes(screen.process.pid, stranger)

    done = mac.alone(MLXTOP, "ps", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["pid"]: row for row in json.loads(done.stdout)}
    assert rows.keys() >= {pid, stranger}
    # The system's charge, not what is resident: a Mac's differs by far.
    assert rows[stranger]["footprint"] > MORE
    assert rows[stranger]["footprint"] == pytest.approx(
        psutil.Process(stranger).memory_info().rss + MORE, rel=0.2
    )

    # Others run programs here as well: each is to have a row.
    top = mac.screen("top", rows=150)
    top.wait_for(str(stranger))
    top.wait_for(str(pid))
    top.press("q")
    assert top.exit() == 0
    os.kill(stranger, signal.SIGKILL)
    assert leave(screen, "Stop") == 128 + signal.SIGINT
    assert mac.processes() == set()


HERE = """\
import json, os, subprocess, sys, threading, time
from mlxtop.system import footprint, self_usage
from mlxtop.system.cpu_load import Load
from mlxtop.system.processes import is_alive

def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass

go, done = threading.Event(), threading.Event()
thread = threading.Thread(target=self_usage.counted()(lambda: (burn(0.1), done.set(), go.wait(20))))
before, mine = self_usage.cpu(), time.thread_time()
thread.start(); done.wait(20)
found = {"another thread": self_usage.cpu() - before - (time.thread_time() - mine)}
go.set(); thread.join()
found["after its end"] = self_usage.cpu() - before - (time.thread_time() - mine)

load = Load()
began = os.times()
subprocess.run([sys.executable, "-SEc", "import time\\nwhile time.process_time() < 0.3: pass"], check=True)
_, _, own_before = load._then
found["children"] = load._read()[2] - own_before

child = subprocess.Popen(["sleep", "60"])
found["alive"] = is_alive(child.pid)
found["another's"] = footprint.of(child.pid)
child.kill()
end = time.monotonic() + 20
while is_alive(child.pid) and time.monotonic() < end: time.sleep(0.01)
found["zombie alive"] = is_alive(child.pid)
os.kill(child.pid, 0)
child.wait()
found["nobody's"] = footprint.of(child.pid)
print(json.dumps(found))
"""


def test_what_the_system_tells_of_threads_children_and_others(mac: Mac) -> None:
    done = mac.alone(sys.executable, "-c", HERE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["another thread"] >= 0.09
    assert found["after its end"] >= 0.09
    assert found["children"] >= 0.25
    assert found["alive"]
    assert not found["zombie alive"]
    assert found["another's"] > MORE
    assert found["nobody's"] is None


def test_lsof_that_does_not_answer(mac: Mac) -> None:
    code = """
import json, time
from mlxtop.attach import process_info
from mlxtop.core.errors import UsageError
from mlxtop.sessions import top_fleet
process_info._LSOF_WITHIN = 0.2
fleet = top_fleet.TopFleet()
fleet._unattached = ("as it was",)
fleet.poll()
waits = fleet._due - time.monotonic()
try:
    process_info.read(os.getpid())
except UsageError as error:
    print(json.dumps([fleet.unattached(), waits, str(error)]))
"""
    mac.env["MLXTOP_TESTS_LSOF_TAKES"] = "20"
    done = mac.alone(sys.executable, "-c", "import os" + code)
    assert done.returncode == 0, done.stderr
    strangers, waits, said = json.loads(done.stdout)
    assert strangers == ["as it was"]
    # Whatever it took, twenty times as long passes before it is asked again.
    assert waits > 3.5
    assert "lsof did not answer within 0.2 s" in said


def test_attach_by_lldb(mac: Mac) -> None:
    """The real lldb with the commands for a Mac, but for the number of an anonymous mapping."""
    if shutil.which("lldb") is None:
        pytest.skip("lldb is not here")
    script = mac.script(BUSY)
    pid = mac.start(script)
    until(lambda: "libmlx" in Path(f"/proc/{pid}/maps").read_text())
    screen = mac.screen("attach", str(pid))
    screen.value(r"working set 96.00 GiB(?s:.*)pressure normal(?s:.*) active +[\d.]+ MiB ", within=40)
    screen.press("q")
    assert screen.exit() == 0
    assert mac.processes() == {pid}


def test_the_peer_of_a_socket(mac: Mac) -> None:
    """LOCAL_PEERPID: a process is of this machine if the kernel says so, and no other number is believed."""
    code = """
import json, os, socket
from mlxtop.sessions import peer
one, other = socket.socketpair()
print(json.dumps([peer.process(one, os.getpid()) == os.getpid(), peer.process(one, os.getppid()), peer.process(one, 0)]))
"""
    done = mac.alone(sys.executable, "-c", code)
    assert json.loads(done.stdout) == [True, None, None], done.stderr
