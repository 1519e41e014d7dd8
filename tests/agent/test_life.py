"""How watched programs fork, become others and end: exactly as they do unwatched."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.agent.program import (
    MX,
    Start,
    WatchedProgram,
    descriptors,
    threads,
    until,
)

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
USE = "import mlx.core as mx; x = mx.ones(5); mx.eval(x); "
ENDS = {
    "comes to its end": "pass",
    "sys.exit(3)": "sys.exit(3)",
    "sys.exit with words": "sys.exit('words')",
    "an uncaught exception": "raise ValueError('as it is')",
    "os._exit(4)": "os._exit(4)",
    "SIGTERM": "os.kill(os.getpid(), 15); time.sleep(5)",
    "SIGKILL": "os.kill(os.getpid(), 9); time.sleep(5)",
    "SIGINT": "os.kill(os.getpid(), 2); time.sleep(5)",
    "a handler of SIGTERM": "import signal; signal.signal(15, lambda *_: sys.exit(6)); "
    "os.kill(os.getpid(), 15); time.sleep(5)",
    "atexit that uses MLX": "import atexit; atexit.register(lambda: (mx.eval(mx.ones(9)), mx.clear_cache()))",
    "a worker thread that used MLX": """
import threading
def work():
    y = mx.ones((64, 64)); mx.eval(y @ y); mx.synchronize(); mx.clear_streams()
t = threading.Thread(target=work); t.start(); t.join()""",
    "a worker thread that outlives main": """
import threading
def work():
    time.sleep(0.3); y = mx.ones((64, 64)); mx.eval(y @ y); mx.synchronize(); mx.clear_streams()
threading.Thread(target=work).start()""",
    "multiprocessing": """
import multiprocessing
with multiprocessing.get_context("spawn").Pool(1) as pool: print(pool.map(abs, [-3]))""",
    "an exec": "os.execv(sys.executable, [sys.executable, '-c', 'import sys; import mlx.core as mx; "
    "mx.eval(mx.ones(3)); sys.exit(7)'])",
    "a fork before MLX is used": """
pid = os.fork()
if pid == 0: mx.eval(mx.ones(5)); sys.exit(8)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])); sys.exit(9)""",
    "a fork without MLX": """
mx.eval(x); pid = os.fork()
if pid == 0: sys.exit(8)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])); sys.exit(9)""",
}
HEAD = "import os, sys, time\nimport mlx.core as mx\nx = mx.ones((64, 64))\n"


def ran(start: Start, code: str, run: str | None) -> tuple[int, str, str]:
    program = start(["env", f"PATH={os.environ['PATH']}", sys.executable, "-c", code], run)
    out, err = program.process.communicate(timeout=30)
    return program.process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("how", ENDS)
def test_it_ends_as_without_us(start: Start, how: str) -> None:
    used = "" if "fork" in how else "mx.eval(x)\n"
    code = HEAD + used + ENDS[how]
    assert ran(start, code, "1") == ran(start, code, None)


@pytest.mark.parametrize("how", ["sys.exit(3)", "os._exit(4)", "a worker thread that outlives main"])
def test_it_ends_as_without_us_while_somebody_watches(start: Start, how: str) -> None:
    program = start(HEAD + "mx.eval(x); sys.stdin.readline()\n" + ENDS[how])
    viewer = program.connect()
    viewer.message("samples")
    program.say()
    code, errors = program.end()
    assert (code, errors) == ({"sys.exit(3)": 3, "os._exit(4)": 4}.get(how, 0), "")
    viewer.end()
    assert ("bye" in viewer.kinds()) == (how != "os._exit(4)")


@pytest.mark.parametrize("repeat", range(3))
def test_a_viewer_that_never_reads_keeps_nobody_from_ending(start: Start, repeat: int) -> None:
    program = start(HEAD + "mx.eval(x); sys.stdin.readline()\n")
    viewers = [program.connect() for _ in range(3)]
    viewers[0].say("interval", seconds=0.01)
    assert program.end() == (0, "")


def test_a_socket_is_gone_with_its_program_and_one_of_a_killed_program_is_replaced(start: Start) -> None:
    program = start.up()
    assert len(program.sockets()) == 1
    assert program.end() == (0, "")
    assert program.sockets() == []
    killed = start.up()
    killed.kill()
    assert killed.sockets() == [f"{killed.pid}.sock"]


def test_an_exec_is_another_session_of_the_same_process(start: Start) -> None:
    again = "import time, sys; import mlx.core as mx; x = mx.ones(5); mx.eval(x); sys.stdin.readline(); sys.exit(3)"
    program = start(
        MX + "print('up', flush=True); sys.stdin.readline()\n"
        f"os.execv(sys.executable, [sys.executable, '-c', {again!r}])"
    )
    assert program.line() == "up"
    first = program.connect()
    started = first.message("hello")["started"]
    program.say()
    first.end()
    assert "bye" not in first.kinds()
    # A connection that the old socket took in its last moment comes to nothing.
    second = until(lambda: (viewer := program.connect()).hear(1) and viewer)
    assert second.message("hello")["started"] > started
    assert second.message("hello")["pid"] == program.pid
    assert len(program.sockets()) == 1
    assert program.end() == (3, "")


FORK = (
    HEAD
    + """
child = os.fork()
if child == 0:
    {child}
    os._exit(0)
mx.eval(x)
print(child, flush=True)
sys.stdin.readline()
os.kill(child, 9); os.waitpid(child, 0)
"""
)


@linux
def test_a_forked_child_that_uses_mlx_is_a_session_of_its_own(start: Start) -> None:
    program = start(FORK.format(child="x = mx.ones((512, 512)); mx.eval(x); time.sleep(1000)"))
    child = int(program.line())
    viewer = program.connect(pid=child)
    assert viewer.message("hello")["pid"] == child
    viewer.until(lambda m: m["type"] == "samples" and m["rows"][-1][1] >= 512 * 512 * 4)
    viewer.say("limit", knob="cache", bytes=99, who="keyboard")
    viewer.event("limit", new=99)
    parent = program.connect()
    assert parent.message("hello")["pid"] == program.pid
    parent.more()
    assert [e for e in parent.events("limit") if e["source"] == "keyboard"] == []
    assert program.end() == (0, "")


@linux
def test_a_forked_child_without_mlx_holds_nothing_of_ours(start: Start) -> None:
    code = (
        MX
        + """
sys.stdin.readline()
child = os.fork()
if child == 0:
    time.sleep(1000)
print(child, flush=True)
sys.stdin.readline()
os._exit(3)
"""
    )
    program = start(code)
    viewer = program.connect()
    viewer.message("samples")
    program.say()
    child = int(program.line())
    until(lambda: not [name for name in descriptors(child) if name.startswith("socket:")])
    assert threads(child) <= threads(program.pid)
    assert program.sockets() == [f"{program.pid}.sock"]
    program.say()
    viewer.end()
    assert Path(f"/proc/{child}").exists()


@linux
def test_a_daemon_that_forks_twice_keeps_its_files(start: Start) -> None:
    code = (
        HEAD
        + """
if os.fork(): time.sleep(0.5); os._exit(0)
os.setsid()
files = [os.open("/dev/null", os.O_RDWR) for _ in range(9)]
if os.fork(): os._exit(0)
for file in files: os.fstat(file)
print("all there", flush=True)
"""
    )
    assert start(code).line() == "all there"


@linux
def test_a_forked_child_writes_nothing_into_its_own_files(start: Start, tmp_path: Path) -> None:
    code = (
        MX
        + f"""
import mlxtop
sys.stdin.readline()
if os.fork() == 0:
    paths = ["{tmp_path}/%d" % n for n in range(9)]
    files = [os.open(path, os.O_RDWR | os.O_CREAT) for path in paths]
    mlxtop.mark("in the child"); mlxtop.phase("a phase")
    print([open(path).read() for path in paths], flush=True)
    os._exit(0)
sys.stdin.readline()
"""
    )
    program = start(code)
    viewer = program.connect()
    viewer.message("samples")
    program.say()
    assert program.line() == str([""] * 9)


@linux
def test_a_daemon_is_found_and_ends_in_order(start: Start) -> None:
    code = (
        HEAD
        + """
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
mx.eval(x)
print(os.getpid(), flush=True)
sys.stdin.readline()
"""
    )
    program = start(code)
    daemon = int(program.line())
    viewer = program.connect(pid=daemon)
    viewer.message("samples")
    program.say()
    viewer.end()
    assert "bye" in viewer.kinds()
    # What is left is its forefathers', who left by os._exit.
    until(lambda: f"{daemon}.sock" not in program.sockets())


@linux
def test_spawned_children_are_found(start: Start, tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text("""
import multiprocessing, sys
def work(n):
    import mlx.core as mx, time
    mx.eval(mx.ones((n, n))); time.sleep(1000)
if __name__ == "__main__":
    children = [multiprocessing.get_context("spawn").Process(target=work, args=(9,), daemon=True) for _ in range(2)]
    for child in children: child.start()
    print(*[child.pid for child in children], flush=True)
    sys.stdin.readline()
""")
    program = start([sys.executable, str(script)], run="abc")
    pids = [int(word) for word in program.line().split()]
    for pid in pids:
        assert program.connect(pid=pid).message("hello")["run"] == "abc"
    # Neither the parent nor multiprocessing's helpers use MLX.
    assert program.sockets() == sorted(f"{pid}-abc.sock" for pid in pids)
    assert program.end() == (0, "")


@linux
def test_a_program_that_lets_sigpipe_kill_it_survives_viewers_that_leave(start: Start) -> None:
    program = start.up("import signal; signal.signal(signal.SIGPIPE, signal.SIG_DFL)")
    for _ in range(20):
        viewer = program.connect()
        viewer.say("interval", seconds=0.01)
        viewer.message("hello")
        viewer.close()
    program.connect().message("samples")
    assert program.end() == (0, "")


@linux
def test_signals_reach_the_program_and_not_the_agent(start: Start) -> None:
    code = """
import signal
signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b"heard\\n"))
print("ready", flush=True)
while True: signal.pause()
"""
    program = start(MX + code)
    assert program.line() == "ready"
    for _ in range(20):
        os.kill(program.pid, signal.SIGUSR1)
        assert program.line() == "heard"


@linux
def test_a_program_that_closes_all_files_is_left_in_peace(start: Start) -> None:
    program = start(MX + "os.closerange(3, 1000); print('up', flush=True); sys.stdin.readline()")
    assert program.line() == "up"
    assert share(program) < 0.3
    assert program.end() == (0, "")


@linux
def test_files_in_the_place_of_ours_are_neither_written_nor_read(start: Start) -> None:
    code = f"""
import mlxtop
print("ready", flush=True); sys.stdin.readline()
os.closerange(3, 1000)
paths = ["{start.home}/file%d" % n for n in range(12)]
for path in paths: open(path, "w").write("0123456789")
files = [os.open(path, os.O_RDWR) for path in paths]
for n in range(200): mlxtop.mark("m"); time.sleep(0.005)
print([os.lseek(file, 0, os.SEEK_CUR) for file in files], {{open(path).read() for path in paths}}, flush=True)
"""
    program = start(MX + code)
    assert program.line() == "ready"
    viewer = program.connect()
    viewer.message("facts")
    program.say()
    assert program.line() == f"{[0] * 12} {{'0123456789'}}"


@linux
def test_a_listener_of_the_programs_in_the_place_of_ours_keeps_its_guests(start: Start) -> None:
    code = """
import socket
os.closerange(3, 1000)
servers = []
for n in range(9):
    server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1] + f"/own{n}"); server.listen(); servers.append(server)
print("up", flush=True)
sys.stdin.readline()
time.sleep(1)
for server in servers: server.settimeout(1); server.accept()
print("all came", flush=True)
"""
    program = start([sys.executable, "-c", MX + code, str(start.home)])
    assert program.line() == "up"
    guests = [socket.socket(socket.AF_UNIX) for _ in range(9)]
    for n, guest in enumerate(guests):
        guest.connect(f"{start.home}/own{n}")
    program.say()
    assert program.line() == "all came"


def share(program: WatchedProgram) -> float:
    """Share of a core it takes over a second: processor time, of which a loaded machine gives it less."""
    began, cpu = time.monotonic(), program.cpu()
    until(lambda: time.monotonic() - began > 1)
    return (program.cpu() - cpu) / (time.monotonic() - began)


@linux
def test_a_program_out_of_descriptors_is_left_in_peace(start: Start) -> None:
    code = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
files = []
try:
    while True: files.append(os.open("/dev/null", os.O_RDONLY))
except OSError: pass
"""
    program = start.up(code)
    guest = socket.socket(socket.AF_UNIX)
    guest.connect(program.path())
    assert share(program) < 0.3
    assert program.end() == (0, "")


@linux
@pytest.mark.slow
def test_a_thousand_viewers_come_and_go_and_leave_nothing(start: Start) -> None:
    tell = "import gc\nfor line in sys.stdin: gc.collect(); print(sys.getallocatedblocks(), flush=True)"
    program = start(MX + tell)
    viewer = program.connect("observe")
    viewer.message("samples")

    def cycle(times: int) -> None:
        for n in range(times):
            guest = program.connect("control")
            if n % 4:
                guest.message("facts")
            guest.close()

    # Where it listens, the two that wake it, and the viewer.
    def settled() -> bool:
        return len([name for name in descriptors(program.pid) if name.startswith("socket:")]) == 4

    def blocks() -> int:
        program.say()
        return int(program.line())

    cycle(300)
    until(settled)
    count, before, memory = threads(program.pid), descriptors(program.pid), blocks()
    cycle(1000)
    until(settled)
    assert descriptors(program.pid) == before
    assert threads(program.pid) == count
    # If each left an object it would be a thousand. Pages say less: the allocator takes some until it is warm.
    assert blocks() - memory <= 200
    viewer.close()
    assert program.end() == (0, "")


ALL_JOINED = """
import faulthandler, gc, multiprocessing, tempfile, threading
from concurrent.futures import ThreadPoolExecutor
sys.stdin.readline()
threading.Thread(target=time.sleep, args=(0.05,)).start()
for thread in threading.enumerate():
    if thread is not threading.main_thread(): thread.join()
while threading.active_count() > 1: time.sleep(0.01)
with tempfile.TemporaryFile() as file: faulthandler.dump_traceback(file)
executor = ThreadPoolExecutor(2)
print(list(executor.map(abs, [-1, -2])))
with multiprocessing.get_context("fork").Pool(1) as pool: print(pool.map(abs, [-3]))
print(threading._active.keys() == {threading.main_thread().ident, *(t.ident for t in threading.enumerate())})
"""
"""A program that waits for all its threads, once a line has come."""


@linux
def test_a_program_that_joins_all_its_threads_ends(start: Start) -> None:
    program = start(MX + "print('up', flush=True)\n" + ALL_JOINED)
    assert program.line() == "up"
    viewer = program.connect()
    # Each is carried out in the agent's thread: nothing of it may call itself a thread of `threading`.
    for command in ("limit", "clear", "census", "mark", "collect"):
        viewer.say(
            command,
            **{"limit": {"knob": "cache", "bytes": 5}, "mark": {"name": "m"}}.get(command, {}),
            who="k",
        )
    for kind in ("limit", "clear", "census", "mark", "collect"):
        viewer.event(kind)
    program.say()
    assert program.line() == "[1, 2]"
    assert program.line() == "[3]"
    assert program.line() == "True"
    assert program.end() == (0, "")


ORDERLY = """
import atexit, os, sys
atexit.register(print, "registered before MLX")
before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
import mlx.core as mx
atexit.register(print, "registered after MLX")
files = [os.open("/dev/null", os.O_RDONLY) for _ in range(5)]
print(before, files)
os.closerange(3, 256)
mx.eval(mx.ones(4) + 1)
print(os.open("/dev/null", os.O_RDONLY), atexit._run_exitfuncs.__name__)
import wave
"""


def test_order_warnings_and_descriptors_are_as_without_us(start: Start) -> None:
    said = []
    for run in (None, "1"):
        program = start([sys.executable, "-W", "error", "-X", "importtime", "-c", ORDERLY], run)
        out, err = program.process.communicate(timeout=30)
        lines = err.decode().splitlines()
        others = [line for line in lines if not line.startswith("import time:")]
        said.append((program.process.returncode, out.decode(), others, lines[-1].split("|")[-1]))
    assert said[0] == said[1]
    assert said[0][3].strip() == "wave"


def test_a_program_that_closes_its_first_files_is_still_watched(start: Start) -> None:
    program = start.up("os.closerange(3, 200)")
    viewer = program.connect()
    viewer.message("samples")
    assert program.end() == (0, "")
