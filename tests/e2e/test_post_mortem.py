"""Programs that die under watch, and the page that is kept of it."""

import os
import re
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.program import until
from tests.e2e.place import BUSY, Place, gone, python
from tests.e2e.screen import MLXTOP

BEGIN = """\
import os, signal, sys, time
import mlx.core as mx, mlxtop
mx.set_cache_limit(123 * 2**20)
kept = mx.ones((1024, 1024)); mx.eval(kept)
from mlxtop.agent import agent; agent.LEAVE_WITHIN = 1_000.0
while not any(client.role for client in agent._agent._server._clients.values()): time.sleep(0.01)
mlxtop.mark("epoch 2")
print("step 60", file=sys.stderr, flush=True)
"""
"""A program's beginning: it holds 4 MiB, and waits until somebody watches."""
TEXT = "[metal::malloc] Resource limit (499000) exceeded."
TOO_MUCH = f"def step(): raise RuntimeError({TEXT!r})\nstep()\n"
"""What only Metal says, as MLX says it."""
WHY = "MLX held 499,000 GPU buffers, the limit (cached ones count)"


def pages(place: Place) -> list[Path]:
    return sorted((place.folder / "state").rglob("post-mortem/*"))


def last(place: Place) -> str:
    done = place.alone(MLXTOP, "report", "--last")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_page_says_why_and_what_was_before(place: Place) -> None:
    log = place.folder / "out.log"
    script = place.script(BEGIN + TOO_MUCH, "train.py")
    done = place.alone(MLXTOP, "run", "--headless", "--log", str(log), "--", *python([script]), "--lr", "1")
    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert told == (
        f"mlxtop: {script} --lr 1 died: the program ended with exit code 1: {WHY}. "
        "mlxtop report --last shows its last two minutes."
    )
    (page,) = pages(place)
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    text = last(place)
    assert text == page.read_text()
    for line in (
        f"  resource limit: {WHY}",
        f"  evidence: RuntimeError: {TEXT}",
        "  raised in train.py:9 step()",
        "  | step 60",
    ):
        assert line in text.splitlines()
    assert re.search(r"after the mark “epoch 2”$", text, re.MULTILINE)
    assert re.search(r"^  cache +123\.0 MiB  \S+/train\.py:3$", text, re.MULTILINE)
    assert re.search(r"^ +-\d\.\ds +4\.\d MiB ", text, re.MULTILINE)
    assert re.search(r"^  - Return cached buffers", text, re.MULTILINE)


def test_nothing_is_kept_of_a_clean_end(place: Place) -> None:
    for code in (
        "",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "try: raise RuntimeError('[metal::malloc] Resource limit (499000) exceeded.')\nexcept RuntimeError: pass",
    ):
        done = place.alone(MLXTOP, "run", "--headless", "--", *python([place.script(BEGIN + code)]))
        assert "died" not in done.stderr
    assert pages(place) == []
    done = place.alone(MLXTOP, "report", "--last")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mlxtop: No program has died under mlxtop: there is no page in ")


def test_a_program_without_mlx_leaves_no_page(place: Place) -> None:
    done = place.alone(MLXTOP, "run", "--headless", "--", *python([place.script("raise SystemExit(3)")]))
    assert done.returncode == 3
    assert pages(place) == []


def test_a_program_that_is_killed_in_its_dashboard(place: Place) -> None:
    screen = place.run(place.script(BUSY))
    screen.value(r"^ active +4\.0 MiB ")
    screen.press("w")
    screen.wait_for("kept in program.py")
    screen.press("escape")
    screen.wait_for("where it goes")
    pid = place.only(screen.process.pid)
    os.kill(pid, signal.SIGKILL)
    screen.wait_for("killed by SIGKILL")
    until(lambda: pages(place))
    screen.press("q")
    assert screen.exit() == 128 + 9
    text = last(place)
    assert "The program was killed by SIGKILL." in text
    assert "  | it is up" in text
    assert re.search(r"^What held the arrays, counted \S+ before$", text, re.MULTILINE)
    assert re.search(r"^ +4\.0 MiB  1024×1024 float32 +kept in program\.py$", text, re.MULTILINE)


@pytest.fixture
def container() -> Iterator[Path]:
    """A memory cgroup whose processes may use 300 MiB together."""
    for base, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        group = Path(base, f"mlxtop-test-{os.getpid()}")
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(300 * 2**20))
            yield group
            return
        except OSError:
            continue
        finally:
            # Its last process may not be gone yet.
            until(lambda group=group: not (group / "cgroup.procs").read_text())
            group.rmdir()
    pytest.skip("no memory cgroup can be made here")


MOVES = """\
import os, sys
try:
    open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
except OSError:
    sys.exit(99)
"""
TAKES = """\
held = []
for n in range(20):
    held.append(mx.ones((8, 1024, 1024))); mx.eval(held)
sys.exit(99)
"""
"""It takes up to 640 MiB."""


def test_a_kill_by_the_kernels_own_oom_killer(place: Place, container: Path) -> None:
    # First into the container: mlxtop reads which it is as it meets the agent.
    script = place.script(MOVES + BEGIN + TAKES)
    done = place.alone(MLXTOP, "run", "--headless", "--", *python([script]), str(container))
    if done.returncode == 99:
        pytest.skip("this system does not hold a container to its limit")
    assert done.returncode == 128 + 9
    why = "the kernel's OOM killer ended it: its container may use 300.0 MiB"
    assert f"killed by SIGKILL: {why}. mlxtop report --last" in done.stderr
    text = last(place)
    assert f"  OOM killer: {why}\n" in text
    assert "  evidence: the container's oom_kill grew by 1\n" in text


def test_attached_it_is_known_too(place: Place) -> None:
    go = place.folder / "go"
    waits = f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    pid = place.start(place.script(BEGIN + waits + TOO_MUCH), MLXTOP="1")
    until(lambda: place.ps().get(pid, {}).get("active"))
    screen = place.screen("attach", str(pid))
    screen.value(r"^ active +4\.0 MiB ")
    go.touch()
    gone(pid)
    screen.wait_for("MLX held 499,000 GPU buffers")
    screen.press("q")
    assert screen.exit() == 0
    assert "raised in program.py:" in last(place)


@pytest.mark.parametrize("arguments", [(), ("--last", "run.mlxtop")])
def test_a_report_is_of_one_thing(place: Place, arguments: tuple[str, ...]) -> None:
    done = place.alone(MLXTOP, "report", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--last" in done.stderr


def test_the_page_goes_where_it_is_wanted(place: Place) -> None:
    place.alone(MLXTOP, "run", "--headless", "--", *python([place.script(BEGIN + "sys.exit(7)")]))
    path = place.folder / "why.txt"
    done = place.alone(MLXTOP, "report", "--last", "-o", str(path))
    assert (done.returncode, done.stdout) == (0, "")
    assert path.read_text() == pages(place)[0].read_text()
    assert "exit code: it ended itself with exit code 7" in path.read_text()
