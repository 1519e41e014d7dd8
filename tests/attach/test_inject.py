"""Getting into a process that runs: real processes, real debuggers. That the target is unharmed is half of it."""

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from mlxtop.attach import debugger, gdb, lldb
from mlxtop.attach import inject as injecting
from mlxtop.attach.inject import Way, inject, ways
from mlxtop.core.errors import MlxtopError

# Ours is tried with every program.
OTHERS = [
    str(path)
    for path in sorted(Path.home().glob(".pyenv/versions/3.1[123].*/bin/python"))
    if f"3.{sys.version_info.minor}." not in path.parts[-3]
]
needs_gdb = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("gdb") is None, reason="needs Linux and gdb"
)
HEAD = "import os, time, threading, select, sys; began = time.monotonic(); print('up', flush=True)\n"
TAIL = "\nprint(round(time.monotonic() - began, 1), 'end')"
FORK = "if os.fork() == 0:\n time.sleep(max(0, began + S - time.monotonic()))"
PROGRAMS = {
    "sleeps": "time.sleep(S)",
    "waits for a lock": "l = threading.Lock(); l.acquire(); l.acquire(timeout=S)",
    "polls": "select.poll().poll(1000 * S)",
    "selects": "select.select([], [], [], S)",
    "epolls": "select.epoll().poll(S)",
    "accepts": f"import socket; s = socket.create_server(('127.0.0.1', 0))\n"
    f"{FORK}; socket.create_connection(s.getsockname()); os._exit(0)\ns.accept(); os.wait()",
    "reads a pipe": f"r, w = os.pipe()\n{FORK}; os.write(w, b'x'); os._exit(0)\n"
    "assert os.read(r, 1) == b'x'; os.wait()",
    "reads its input": f"r, w = os.pipe(); os.dup2(r, 0)\n{FORK}; os.write(w, b'x\\n'); os._exit(0)\n"
    "assert input() == 'x'; os.wait()",
    "waits for a queue": "import queue\ntry: queue.Queue().get(timeout=S)\nexcept queue.Empty: pass",
    "uses mlx": "import mlx.core as mx; x = mx.ones((64, 64))\n"
    "while time.monotonic() < began + S: x = x * 1.0; mx.eval(x)\nassert mx.sum(x).item() == 4096",
    "runs a program": "import subprocess; subprocess.run(['sleep', str(S - 0.05)])",
    "computes": "while time.monotonic() < began + S: pass",
    "joins a thread": "t = threading.Thread(target=time.sleep, args=(S,)); t.start(); t.join()",
    "sleeps often": "while time.monotonic() < began + S: time.sleep(0.05)",
    "joins a thread that computes": "def f():\n while time.monotonic() < began + S: pass\n"
    "t = threading.Thread(target=f); t.start(); t.join()",
}
"""Each takes `S` seconds."""
CASES = [(sys.executable, what) for what in PROGRAMS] + [
    # One for each way in: a thread that waits, one that waits for a lock, one that computes.
    pytest.param(python, what, marks=pytest.mark.slow)
    for python in OTHERS
    for what in ("sleeps", "waits for a lock", "computes")
]

PROVE = """
found = sorted(globals())
import os
with open({proof!r} + ".new", "w") as file: file.write(repr(found))
os.rename({proof!r} + ".new", {proof!r})
"""


def start(code: str, python: str = sys.executable) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [python, "-c", HEAD + code + TAIL], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    return child


def let_wait(seconds: float) -> None:
    """Gives programs time to be in their wait: a wait that is begun anew ends as much later than it should."""
    time.sleep(seconds)


def boot(folder: Path, code: str = "") -> tuple[Path, Path]:
    """A script, and the file whose being there says that it ran to its end."""
    proof = folder / "proof"
    script = folder / 'a "boot" é.py'
    script.write_text(f"{code}\n{PROVE.format(proof=str(proof))}")
    return script, proof


def state(pid: int) -> tuple[str, str]:
    status = debugger.status(str(pid))
    # X for one that is gone.
    return status.get("State", "X")[0], status.get("TracerPid", "0")


@needs_gdb
@pytest.mark.parametrize(("python", "what"), CASES)
@pytest.mark.usefixtures("processes")
def test_it_gets_in_and_the_target_is_unharmed(tmp_path: Path, what: str, python: str) -> None:
    # On a loaded machine gdb may need longer than the program runs.
    for seconds in (2, 4, 8):
        child = start(f"S = {seconds}\n{PROGRAMS[what]}", python)
        script, proof = boot(tmp_path)
        let_wait(waited := seconds / 4)
        try:
            inject(child.pid, script, proof.exists)
        except MlxtopError:
            if child.poll() is None:
                raise
        in_time = state(child.pid)
        out, err = child.communicate(timeout=20)
        assert (out.split()[1:], err, child.returncode) == (["end"], "", 0)
        if proof.exists() and in_time[0] not in "ZX":
            # Fresh globals, nothing of the program's in them.
            assert proof.read_text() == "['__builtins__', '__file__', '__name__']"
            assert in_time[0] in "SR"
            assert in_time[1] == "0"
            # No wait ended early or was begun anew. A machine that holds it up as long gives it more time next.
            took = float(out.split()[0])
            if seconds - 0.1 <= took < seconds + waited:
                return
        proof.unlink(missing_ok=True)
    raise AssertionError(f"it took {out.split()[0]} s instead of {seconds}")


@needs_gdb
@pytest.mark.usefixtures("processes")
def test_what_goes_wrong_in_the_script_stays_unseen(tmp_path: Path) -> None:
    for timeout in (1, 4, 16):
        child = start(f"time.sleep({timeout} + 1)")
        script, _ = boot(tmp_path, "raise SystemExit(3)")
        with pytest.raises(MlxtopError) as caught:
            inject(child.pid, script, lambda: False, timeout=timeout)
        out, err = child.communicate(timeout=20)
        assert (" end\n" in out, err, child.returncode) == (True, "", 0)
        # On a loaded machine gdb itself may take longer, which is another sentence.
        if "has not reached a safe point within" in str(caught.value):
            break
    assert f"has not reached a safe point within {timeout} s" in str(caught.value)


@needs_gdb
@pytest.mark.parametrize("step", ["time.sleep(0.1)", "sum(range(100_000))"])
@pytest.mark.usefixtures("processes")
def test_a_signal_sent_meanwhile_arrives_once(step: str, tmp_path: Path) -> None:
    # On a loaded machine gdb may need longer than the program runs.
    for seconds in (2, 4, 8):
        code = f"""
seen = 0
while time.monotonic() < began + {seconds}:
    try: {step}
    except KeyboardInterrupt: seen += 1
print(seen, flush=True)"""
        child = start(code)
        script, proof = boot(tmp_path)
        gdb = subprocess.Popen([sys.executable, "-c", RUN, str(child.pid), str(script), str(proof)])
        while state(child.pid)[1] == "0" and child.poll() is None:
            time.sleep(0.001)
        child.send_signal(signal.SIGINT)
        came = gdb.wait(timeout=20) == 0
        out, err = child.communicate(timeout=20)
        if came:
            break
    assert came
    assert (out.splitlines()[0], err, child.returncode) == ("1", "", 0)


RUN = """
import sys
from pathlib import Path
from mlxtop.attach.inject import inject
inject(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]).exists)
"""


@needs_gdb
@pytest.mark.usefixtures("processes")
def test_mlxtop_killed_meanwhile_leaves_the_target_alone(tmp_path: Path) -> None:
    script, proof = boot(tmp_path)
    child = start(f"""
while time.monotonic() < began + 60 and not os.path.exists({str(proof)!r}): time.sleep(0.2)""")
    killed = subprocess.Popen([sys.executable, "-c", RUN, str(child.pid), str(script), str(proof)])
    while state(child.pid)[1] == "0":
        time.sleep(0.001)
    killed.kill()
    killed.wait()
    out, err = child.communicate(timeout=90)
    assert (out.split()[1:], err, child.returncode) == (["end"], "", 0)
    assert proof.exists()


@needs_gdb
@pytest.mark.usefixtures("processes")
def test_one_that_keeps_the_gil(tmp_path: Path) -> None:
    # It keeps the GIL in one call of C, until the test writes to the pipe.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = f"""
import ctypes
library, pipe = ctypes.PyDLL(None), os.open({str(pipe)!r}, os.O_RDWR)
def f():
    time.sleep(0.2)
    sys.setswitchinterval(1000)
    print("keeps it", flush=True)
    library.read(pipe, ctypes.create_string_buffer(1), 1)
t = threading.Thread(target=f); t.start(); t.join()"""
    # On a loaded machine gdb itself may take longer, which is another sentence.
    for timeout in (1, 4, 16):
        child = start(code)
        script, proof = boot(tmp_path)
        assert child.stdout is not None
        assert child.stdout.readline() == "keeps it\n"
        with pytest.raises(MlxtopError) as caught:
            inject(child.pid, script, proof.exists, timeout=timeout, by="gdb")
        pipe.write_bytes(b"x")
        out, err = child.communicate(timeout=30)
        assert (out.split()[1:], err, child.returncode) == (["end"], "", 0)
        if "detaches when the call returns" in str(caught.value):
            break
    assert "detaches when the call returns" in str(caught.value)


@needs_gdb
@pytest.mark.usefixtures("processes")
def test_one_that_is_stopped(tmp_path: Path) -> None:
    child = start("time.sleep(1)")
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    script, proof = boot(tmp_path)
    with pytest.raises(MlxtopError, match="is stopped"):
        inject(child.pid, script, proof.exists)
    child.send_signal(signal.SIGCONT)
    assert child.wait(timeout=20) == 0


@needs_gdb
@pytest.mark.usefixtures("processes")
def test_one_that_ends_meanwhile(tmp_path: Path) -> None:
    script, _ = boot(tmp_path)
    for delay in (0.05, 0.15, 0.25):
        child = start(f"time.sleep({delay + 0.1})")
        with pytest.raises(MlxtopError, match=r"ended|has not reached a safe point"):
            inject(child.pid, script, lambda: False, timeout=2)
        assert child.wait(timeout=20) == 0


@needs_gdb
@pytest.mark.slow
def test_many_times_under_heavy_malloc(tmp_path: Path, soak: bool) -> None:
    code = f"""
import ctypes, os
c = ctypes.CDLL(None); c.malloc.restype = ctypes.c_void_p; c.free.argtypes = [ctypes.c_void_p]
def f():
    while not os.path.exists({str(tmp_path / "stop")!r}):
        held = [bytearray(1000 + 37 * i) for i in range(300)]
        for p in [c.malloc(5000) for _ in range(50)]: c.free(p)
threads = [threading.Thread(target=f) for _ in range(5)]
for t in threads: t.start()
f()
for t in threads: t.join()
print(threading.active_count())
"""
    child = start(code)
    script, proof = boot(tmp_path)
    for _ in range(15 if soak else 5):
        inject(child.pid, script, proof.exists)
        proof.unlink()
    (tmp_path / "stop").touch()
    out, err = child.communicate(timeout=20)
    assert (out.splitlines()[0], err, child.returncode) == ("1", "", 0)


def test_without_a_debugger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr("mlxtop.attach.inject.python_of", lambda _: (3, 8))
    with pytest.raises(MlxtopError, match=r"needs (gdb or lldb, and neither is installed|lldb)"):
        inject(os.getpid(), *boot_of(tmp_path))


def boot_of(folder: Path):  # type: ignore[no-untyped-def]
    script, proof = boot(folder)
    return script, proof.exists


@pytest.mark.skipif(sys.platform != "linux", reason="Yama is Linux's")
@pytest.mark.parametrize(
    ("scope", "match"), [("1", "ptrace_scope=0"), ("2", "lets only root"), ("3", "forbids")]
)
def test_what_yama_forbids(scope: str, match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scope").write_text(scope + "\n")
    monkeypatch.setattr(debugger, "_YAMA", tmp_path / "scope")
    monkeypatch.setattr(debugger, "status", lambda _: {"CapEff": "0", "TracerPid": "0"})
    with pytest.raises(MlxtopError, match=match):
        debugger.check_allowed(os.getpid())


def test_one_that_is_traced_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debugger, "status", lambda _: {"TracerPid": "77"})
    with pytest.raises(MlxtopError, match="debugged by process 77"):
        debugger.check_allowed(1)


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ("mlxtop: failed ptrace: Operation not permitted.", "SYS_PTRACE"),
        ('Scripting in the "Python" language is not supported in this copy of GDB.', "built without Python"),
        (
            'mlxtop: failed No symbol "PyGILState_Check" in current context.',
            "does not find Python's C functions",
        ),
        ("", "gdb printed nothing"),
    ],
)
def test_what_gdb_reports(said: str, match: str) -> None:
    with pytest.raises(MlxtopError, match=match):
        gdb._check_result(os.getpid(), said)


def test_remote_exec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script, proof = boot(tmp_path)
    used = []

    def remote_exec(pid: int, path: str) -> None:
        used.append(Path(path))
        exec(compile(Path(path).read_text(), path, "exec"), {})

    monkeypatch.setattr(sys, "remote_exec", remote_exec, raising=False)
    monkeypatch.setattr("mlxtop.attach.inject.python_of", lambda _: sys.version_info[:2])
    inject(os.getpid(), script, proof.exists, timeout=5)
    assert len(used) == 1
    assert not used[0].exists()


@pytest.mark.skipif(not hasattr(sys, "remote_exec"), reason="comes with Python 3.14")
@pytest.mark.parametrize("code", ["time.sleep(0.01)", "pass"], ids=["sleeps now and then", "computes"])
def test_remote_exec_of_a_real_process(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    child = start(f"while time.monotonic() < began + 3: {code}")
    script, proof = boot(tmp_path)
    inject(child.pid, script, proof.exists)
    unharmed(child, 3, late=3)


def test_remote_exec_that_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def remote_exec(pid: int, path: str) -> None:
        raise PermissionError

    monkeypatch.setattr(sys, "remote_exec", remote_exec, raising=False)
    monkeypatch.setattr("mlxtop.attach.inject.python_of", lambda _: sys.version_info[:2])
    with pytest.raises(MlxtopError, match="does not permit it"):
        inject(os.getpid(), *boot_of(tmp_path), timeout=5)


def test_remote_exec_that_does_not_come_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = []
    monkeypatch.setattr(sys, "remote_exec", lambda pid, path: planted.append(path), raising=False)
    monkeypatch.setattr("mlxtop.attach.inject.python_of", lambda _: sys.version_info[:2])
    monkeypatch.setattr("mlxtop.attach.inject._REMOTE_EXEC", 0.1)
    script, proof = boot(tmp_path)
    monkeypatch.setattr(injecting, "ways", lambda: (Way("remote_exec", ""), Way("gdb", "")))
    monkeypatch.setattr(gdb, "inject", lambda pid, source, end: exec(source, {}))
    inject(os.getpid(), script, proof.exists, timeout=5)
    # Left empty: a target that comes to it late has nothing to run and nothing to complain about.
    assert Path(planted[0]).read_text() == ""
    Path(planted[0]).unlink()


GDB_SAYS = "this gdb cannot call functions on this CPU"
BROKEN = {
    # Functions of libc that are static have no names then.
    "gdb without debug symbols": ("", None),
    # gdb as it is on a CPU with AMX: it gets in all the same.
    "gdb without floats": ("", None),
    # The same, and no ctypes in gdb's Python: refused before the first call.
    "gdb without floats and ctypes": ("ctypes", GDB_SAYS),
    # A gdb whose calls fail for a reason that is not known beforehand.
    "gdb whose calls fail": ("probe", "Couldn't write extended state status"),
}
WAITING = ["sleeps", "selects", "accepts", "waits for a lock"]
"""Each leaves another of the kernel's restart codes behind."""
LLDB = "lldb"
"""It leaves a pending call only, which a main thread that waits comes to late."""


@pytest.fixture
def way(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A debugger, real or a real one that lacks something: the name of the way."""
    name = str(request.param)
    real = shutil.which(name.partition(" ")[0])
    if sys.platform != "linux" or real is None:
        pytest.skip(f"needs Linux and {name.partition(' ')[0]}")
    if name not in BROKEN:
        return name
    if platform.machine() != "x86_64":
        pytest.skip("registers of x86-64")
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "gdb"
    before = Path(__file__).with_name("gdb_script_without_floats.py")
    no_symbols = "-iex 'set debug-file-directory /nowhere'"
    how = no_symbols if "symbols" in name else f"-x {before}"
    fake.write_text(f'#!/bin/sh\nexec {real} -nx -batch {how} "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=os.pathsep)
    monkeypatch.setenv("WITHOUT", BROKEN[name][0])
    return name


def attempt(way: str, child: subprocess.Popen[str], folder: Path) -> str:
    """One attempt to get in: what is said where it does not."""
    script, proof = boot(folder)
    proof.unlink(missing_ok=True)
    try:
        inject(child.pid, script, proof.exists, timeout=20 if way != LLDB else 3, by=way.partition(" ")[0])
    except MlxtopError as error:
        return str(error)
    assert proof.exists()
    return ""


def unharmed(child: subprocess.Popen[str], seconds: float, late: float) -> None:
    """The program ends as it would have without us, less than `late` seconds later."""
    out, err = child.communicate(timeout=seconds + late + 20)
    assert (out[3:].lstrip("0123456789"), err, child.returncode) == (" end\n", "", 0)
    assert seconds - 0.1 <= float(out.split()[0]) < seconds + late


@pytest.mark.parametrize(
    ("way", "names"),
    [
        (LLDB, [*WAITING, "sleeps often"]),
        ("gdb without debug symbols", ["sleeps", "joins a thread"]),
        ("gdb without floats", [*WAITING, "joins a thread"]),
        ("gdb without floats and ctypes", ["sleeps"]),
        ("gdb whose calls fail", WAITING),
    ],
    indirect=["way"],
)
@pytest.mark.usefixtures("processes")
def test_every_way_leaves_programs_unharmed(way: str, names: list[str], tmp_path: Path) -> None:
    seconds, waited = 12, 4
    children = {name: start(f"S = {seconds}\n{PROGRAMS[name]}") for name in names}
    let_wait(waited)
    began = time.monotonic()
    try:
        tried = [(name, attempt(way, child, tmp_path)) for name, child in children.items()]
        took = time.monotonic() - began
        for child in children.values():
            # lldb does not let select and the like end early, so they wait anew for what was left.
            unharmed(child, seconds, late=waited + (took if way == LLDB else 0))
    finally:
        for child in children.values():
            child.kill()
            child.wait()
    for name, said in tried:
        if BROKEN.get(way, ("", None))[1] is not None:
            assert BROKEN[way][1] in said or "ended" in said, name
        elif way == LLDB and name in WAITING:
            assert said == "" or re.search("has not reached a safe point|detaches by itself|ended", said), (
                name
            )
        else:
            # On a loaded machine gdb may need longer than the program runs.
            assert said == "" or re.search("ended|too long|too slow", said), (name, said)


@pytest.mark.parametrize("way", ["gdb", LLDB, *BROKEN], indirect=True)
@pytest.mark.parametrize("what", PROGRAMS)
def test_25_of_25_attempts(
    way: str, what: str, tmp_path: Path, soak: bool, figure: Callable[[str], None]
) -> None:
    if not soak:
        pytest.skip("25 attempts on every program by every way: --soak")
    done, got_in, seconds = 0, 0, 30
    while done < 25:
        child = start(f"S = {seconds}\n{PROGRAMS[what]}")
        let_wait(waited := 4)
        began = took = time.monotonic()
        while done < 25 and time.monotonic() < began + seconds - 2 * waited:
            said = attempt(way, child, tmp_path)
            # It may have come to its own end meanwhile, on a loaded machine.
            assert child.poll() in (None, 0), said
            done, got_in = done + 1, got_in + (said == "")
        took = time.monotonic() - began
        unharmed(child, seconds, late=waited + (took if way == LLDB else 0))
    figure(f"{way}, a program that {what}: {done} attempts, {got_in} got in, unharmed")


@pytest.mark.parametrize(
    ("said", "code", "match"),
    [
        (
            "xcode-select: note: No developer tools were found, requesting install.",
            1,
            "xcode-select --install",
        ),
        ("xcrun: error: invalid active developer path", 1, "xcode-select --install"),
        ("error: attach failed: Not allowed to attach to process.", 1, "does not permit lldb"),
        ("error: attach failed: Operation not permitted", 1, "SYS_PTRACE"),
        (
            "(lldb) expr\nerror: use of undeclared identifier 'Py_AddPendingCall'",
            1,
            "does not find Python's C functions",
        ),
        ("(lldb) expr\n(int) $0 = -1\n", 0, "queue of pending calls"),
        ("", 0, "it ended with 0"),
        ("(int) $0 = 0\n", 1, "it ended with 1"),
    ],
)
def test_what_lldb_reports(said: str, code: int, match: str) -> None:
    with pytest.raises(MlxtopError, match=match):
        lldb._check_result(os.getpid(), said, code)


def test_lldb_left_it_there() -> None:
    lldb._check_result(os.getpid(), "Traceback: no lldb.embedded_interpreter\n(lldb) expr\n(int) $0 = 0\n", 0)


@pytest.mark.usefixtures("processes")
def test_a_program_that_the_attempt_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.2)"])
    with pytest.raises(MlxtopError, match=r"possibly because of that \(Bad address\.\)"):
        gdb._check_result(child.pid, "mlxtop: attached\nmlxtop: calling\nmlxtop: failed Bad address.\n")
    child.wait()


@pytest.mark.parametrize("way", [LLDB], indirect=True)
@pytest.mark.usefixtures("processes")
def test_where_there_is_no_gdb_lldb_gets_in(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "lldb").symlink_to(str(shutil.which("lldb")))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert [bool(way.missing) for way in ways()[1:]] == [True, False]
    # On a loaded machine lldb may need longer than the program runs.
    for seconds in (5, 15):
        child = start(f"S = {seconds}\n{PROGRAMS['sleeps often']}")
        script, proof = boot(tmp_path)
        with suppress(MlxtopError):
            inject(child.pid, script, proof.exists, timeout=seconds)
        unharmed(child, seconds, late=seconds)
        if proof.exists():
            return
    raise AssertionError("it did not get in")


def test_where_gdb_refuses_lldb_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(pid: int, source: str, end: float) -> None:
        raise debugger.Refusal("Not by gdb.")

    script, proof = boot(tmp_path)
    monkeypatch.setattr(
        injecting, "ways", lambda: (Way("remote_exec", "no"), Way("gdb", ""), Way("lldb", ""))
    )
    monkeypatch.setattr(gdb, "inject", refuses)
    monkeypatch.setattr(lldb, "inject", lambda pid, source, end: exec(source, {}))
    inject(os.getpid(), script, proof.exists)
    with pytest.raises(MlxtopError, match="Not by gdb"):
        inject(os.getpid(), script, lambda: False, by="gdb")


def test_on_a_mac_lldb_is_tried_where_remote_exec_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remote_exec(pid: int, path: str) -> None:
        raise PermissionError

    monkeypatch.setattr(sys, "remote_exec", remote_exec, raising=False)
    monkeypatch.setattr(injecting, "python_of", lambda _: sys.version_info[:2])
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(injecting, "ways", lambda: (Way("remote_exec", ""), Way("lldb", "")))
    monkeypatch.setattr(lldb, "inject", lambda pid, source, end: exec(source, {}))
    script, proof = boot(tmp_path)
    inject(os.getpid(), script, proof.exists)


@pytest.mark.usefixtures("processes")
def test_the_shim_of_a_mac_is_not_taken_for_lldb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    select = tmp_path / "xcode-select"
    select.write_text("#!/bin/sh\nexit 2\n")
    select.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(lldb.shutil, "which", lambda _: "/usr/bin/lldb")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert {way.name: way.missing for way in ways()}["lldb"].startswith("The Command Line Tools")
    select.write_text("#!/bin/sh\necho /Library/Developer/CommandLineTools\n")
    assert {way.name: way.missing for way in ways()}["lldb"] == ""
