"""`mlxtop attach` and `mlxtop ps`: programs that already run, and what becomes of them."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.program import until
from tests.e2e.place import BUSY, Place, after, alive, gone, leave, running
from tests.e2e.screen import MLXTOP

pytestmark = pytest.mark.e2e

WAYS = ("MLXTOP=1", "mlxtop.watch()")
WATCH = BUSY.replace("import mlx.core as mx\n", "import mlx.core as mx\nimport mlxtop; mlxtop.watch()\n")


def _debugger() -> str:
    """Why no debugger can get into a process here, or nothing."""
    if not shutil.which("gdb"):
        return "no gdb"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as target:
        command = ["gdb", "-nx", "-batch", "-p", str(target.pid), "-ex", "print 6*7"]
        said = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
        target.kill()
    return "" if "42" in said and "not permitted" not in said else "ptrace is refused here"


@pytest.fixture(scope="module")
def debugger() -> None:
    if why := _debugger():
        pytest.skip(why)


@pytest.fixture
def ready(request: pytest.FixtureRequest, place: Place) -> Iterator[int]:
    """A program with an agent that mlxtop did not start. Its parameter is how it got one: the first way, if not told."""
    if getattr(request, "param", WAYS[0]) == WAYS[0]:
        pid = place.start(place.script(BUSY), MLXTOP="1")
    else:
        pid = place.start(place.script(WATCH))
    until(lambda: place.ps().get(pid, {}).get("active"))
    yield pid
    assert alive(pid), "the program was harmed"


@pytest.mark.parametrize("ready", WAYS, indirect=True)
def test_a_program_that_lets_agents_in_is_attached_to(place: Place, ready: int) -> None:
    assert place.ps()[ready]["watched"] == "ready"
    screen = place.screen("attach", str(ready))
    running(screen)
    screen.value(r"^ active +4\.0 MiB ")
    screen.value(r" [1-9]\d*\.\d evals/s ")
    until(lambda: place.ps()[ready]["watched"] == "yes")
    # Nothing was changed, so nothing is asked.
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []
    until(lambda: place.ps()[ready]["watched"] == "ready")


def test_a_plain_program_takes_an_agent_in_by_a_debugger(place: Place, debugger: None) -> None:
    pid = place.start(place.script("import mlx.core as mx\nmx.set_cache_limit(7 * 2**20)\n" + BUSY))
    until(lambda: place.ps().get(pid, {}).get("watched") == "no")
    screen = place.screen("attach", str(pid))
    running(screen)
    screen.value(r"^ active +4\.0 MiB ")
    screen.value(r" [1-9]\d*\.\d evals/s ")
    # It was set before we came: by whom is not known, to what is.
    screen.value(r" cache +7\.0 MiB (the )?program\b")
    screen.press("[")
    screen.value(r" cache +2\.0 MiB keyboard")
    assert leave(screen, "Restore the cache limit to 7.0 MiB") == 0
    assert alive(pid)
    # The agent stays: the next one needs no debugger.
    assert place.ps()[pid]["watched"] == "ready"
    again = place.screen("attach", str(pid), env={"PATH": "/nowhere"})
    again.value(r" cache +7\.0 MiB mlxtop")
    again.press("q")
    assert again.exit() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_root_attaches_to_another_users_program(place: Place, debugger: None) -> None:
    nobody = 65_534
    # What the agent needs is there already: that user may not read where our Python lives.
    become = (
        "import threading, mlxtop.agent.agent, mlxtop.agent.boot, mlxtop.mlx.device, mlxtop.system.footprint\n"
        f"mlxtop.mlx.device.facts(packages=False); os.setgid({nobody}); os.setuid({nobody})\n"
    )
    # Its folder for temporary files is its own, as every user's is on a Mac.
    theirs = place.folder / "theirs"
    theirs.mkdir(0o700)
    os.chown(theirs, nobody, nobody)
    place.folder.chmod(0o711)
    script = place.script(BUSY.replace("kept =", become + "kept ="))
    pid = place.start(script, TMPDIR=str(theirs))
    until(lambda: Path(f"/proc/{pid}").stat().st_uid == nobody)
    screen = place.screen("attach", str(pid))
    running(screen)
    screen.press("[")
    screen.value(r" cache +20\.0 MiB keyboard")
    assert leave(screen, "Restore the cache limit to 32.0 MiB") == 0
    assert alive(pid)
    assert not list(Path("/tmp").glob(f"mlxtop-{pid}-*"))
    assert [path.stat().st_uid for path in theirs.glob(f"mlxtop-{nobody}/{pid}.sock")] == [nobody]
    # The agent is found there: the next one needs no debugger.
    again = place.screen("attach", str(pid), env={"PATH": "/nowhere"})
    again.value(r" cache +32\.0 MiB mlxtop")


def test_a_program_with_a_folder_of_its_own_is_found(place: Place, debugger: None) -> None:
    theirs = place.folder / "theirs"
    theirs.mkdir(0o700)
    elsewhere = {"XDG_RUNTIME_DIR": "", "TMPDIR": str(theirs)}
    moves = f"import os; os.environ.update({elsewhere!r})\n"
    # One that moved after its start, with an agent that opened its socket there; and one without an agent.
    ready = place.start(place.script(moves + WATCH))
    plain = place.start(place.script(moves + BUSY, "plain.py"))
    until(lambda: list(theirs.glob(f"mlxtop-*/{ready}.sock")))
    for pid in (ready, plain):
        screen = place.screen("attach", str(pid))
        screen.value(r"^ active +4\.0 MiB ")
        screen.press("q")
        assert screen.exit() == 0
    # Handed in with the agent: the folder where we look.
    assert place.ps()[plain]["watched"] == "ready"


def test_left_running_and_attached_to_again(place: Place) -> None:
    script = place.script(
        BUSY.replace(
            "while True:", "for n in range(10**9):\n    if n % 500 == 0: print('step', n, flush=True)"
        )
    )
    first = place.run(script)
    running(first)
    pid = place.only(first.process.pid)
    at_start = first.value(r" evals +([\d,]+) ")[1]
    first.press("m")
    first.wait_for("since “mark 1”")
    # The title may be read before the numbers under it are drawn: those of the start are not meant.
    marked = first.value(
        rf" active +4\.0 MiB +4\.0 MiB +0 B(?s:.*?) evals +(?!{re.escape(at_start)} )([1-9][\d,]*) "
    )[1]
    first.press("[")
    first.value(r" cache +20\.0 MiB keyboard")
    last = int(first.value(r"(?s).*step (\d+)")[1])
    assert leave(first, "Leave it running with its present limits") == 0
    assert alive(pid)
    told = re.fullmatch(
        rf"mlxtop: \S+program\.py is still running with its output in (\S+)\. Watch it with: mlxtop attach {pid}\r\n",
        after(first),
    )
    assert told is not None, after(first)
    assert [str(log) for log in place.logs()] == [told[1]]
    assert place.ps()[pid]["watched"] == "ready"
    second = place.screen("attach", str(pid))
    # What was before is there: marks, limits, the output, and the chart from its beginning.
    second.wait_for("it is up")
    second.value(r" cache +20\.0 MiB keyboard")
    second.wait_for(f"step {last}")
    second.wait_for("cache limit 32.0 MiB → 20.0 MiB by keyboard")
    second.wait_for("since “mark 1”")
    assert second.value(r" evals +([\d,]+) ")[1] == marked
    second.press("M")
    second.value(r"  start *│(?s:.*)  mark 1 *│")
    second.press("escape")
    # Gone before the next key: Escape and `[` together are no two keys to a terminal.
    second.wait_for(lambda text: "Measure from" not in text)
    # As it was found is as it was left: it is what another change goes back to.
    second.press("[")
    second.value(r" cache +2\.0 MiB keyboard")
    assert leave(second, "Restore the cache limit to 20.0 MiB") == 0
    third = place.screen("attach", str(pid))
    third.value(r" cache +20\.0 MiB mlxtop")
    os.kill(pid, signal.SIGTERM)
    third.wait_for(f"process {pid} ended")
    third.press("q")
    assert third.exit() == 0
    assert third.left() == []


def test_the_limits_are_put_back_when_the_program_is_left_running(place: Place) -> None:
    first = place.run(place.script(BUSY))
    running(first)
    pid = place.only(first.process.pid)
    first.press("[", "[")
    first.value(r" cache +2\.0 MiB keyboard")
    assert leave(first, "Leave it running and restore the cache limit to 32.0 MiB") == 0
    second = place.screen("attach", str(pid))
    second.value(r" cache +32\.0 MiB mlxtop")


def test_a_second_viewer_is_told_in_one_sentence(place: Place, ready: int) -> None:
    first = place.screen("attach", str(ready))
    running(first)
    second = place.screen("attach", str(ready))
    assert second.exit() == 1
    assert second.left() == []
    words = " ".join(second.text().split())
    assert words == (
        f"mlxtop: Process {ready} is already watched by mlxtop (process {first.process.pid}): quit that one first, or use mlxtop top."
    )
    # The first one does not notice.
    first.press("[")
    first.value(r" cache +20\.0 MiB keyboard")


def test_what_cannot_be_attached_to_is_told_in_one_sentence(place: Place) -> None:
    python = place.start(sys.executable, "-c", "import time; time.sleep(60)")
    sleep = place.start("sleep", "60")
    for which, sentence in {
        "999999999": "There is no process 999999999",
        str(sleep): rf"Process {sleep} \(sleep 60\) is not a Python program",
        str(python): rf"Process {python} \(.*\) has not imported MLX",
        "/nowhere/at.sock": "/nowhere/at.sock is neither a process id nor an agent's socket",
        "-5": "No such option",
    }.items():
        screen = place.screen("attach", which)
        assert screen.exit() == 2
        words = " ".join(screen.text().split())
        assert re.search(sentence, words), words
        assert "Traceback" not in words
        assert b"\x1b[?1049h" not in screen.raw
    assert alive(python)
    assert alive(sleep)


@pytest.mark.parametrize("command", ["attach", "top", "run"])
def test_without_a_terminal_it_says_so_and_names_nothing_it_does_not_have(place: Place, command: str) -> None:
    arguments: list[str] = {"run": ["true"]}.get(command, [])
    if command == "attach":
        pid = place.start(place.script(BUSY), MLXTOP="1")
        until(lambda: place.ps().get(pid, {}).get("active"))
        arguments.append(str(pid))
    done = place.alone(MLXTOP, command, *arguments)
    assert done.returncode == 2
    assert "terminal" in done.stderr
    offered = place.alone(MLXTOP, command, "--help").stdout
    assert [option for option in re.findall(r"--\w+", done.stderr) if option not in offered] == []


def test_the_picture_stays_when_the_program_is_killed(place: Place) -> None:
    pid = place.start(place.script(BUSY), MLXTOP="1")
    until(lambda: place.ps().get(pid, {}).get("active"))
    screen = place.screen("attach", str(pid))
    screen.value(r"^ active +4\.0 MiB ")
    os.kill(pid, signal.SIGKILL)
    gone(pid)
    screen.wait_for(f"process {pid} ended without notice: it was killed, or it called os._exit")
    screen.wait_for("● ended")
    screen.value(r"^ active +4\.0 MiB ")
    # A command that comes too late harms nobody.
    screen.press("[", "c", "w", "m")
    screen.value(r"^ active +4\.0 MiB ")
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []
    assert pid not in place.ps()


def test_a_viewer_that_is_killed_leaves_the_program_to_the_next(place: Place, ready: int) -> None:
    first = place.screen("attach", str(ready))
    running(first)
    first.press("[")
    first.value(r" cache +20\.0 MiB keyboard")
    first.signal(signal.SIGKILL)
    first.exit()
    second = place.screen("attach", str(ready))
    second.value(r" cache +20\.0 MiB keyboard")
    evals = second.value(r" evals +\d+ +([\d,]+) ")[1]
    second.wait_for(lambda text: f" {evals} " not in text, why="a program that goes on")


def test_limits_of_the_command_line_are_set_and_put_back(place: Place, ready: int) -> None:
    screen = place.screen("attach", "--cache-limit", "5M", str(ready))
    screen.value(r" cache +5\.0 MiB flag")
    assert leave(screen, "Restore the cache limit to 32.0 MiB") == 0
    again = place.screen("attach", str(ready))
    again.value(r" cache +32\.0 MiB mlxtop")


def test_several_are_attached_to_side_by_side(place: Place, ready: int) -> None:
    other = place.start(place.script(BUSY, "other.py"), MLXTOP="1")
    until(lambda: place.ps().get(other, {}).get("active"))
    screen = place.screen("attach", str(ready), str(other))
    screen.value(rf"{ready} +● run ")
    screen.value(rf"{other} +● run ")
    screen.press("end", "enter")
    running(screen)
    screen.wait_for("other.py")
    screen.press("[")
    screen.value(r" cache +20\.0 MiB keyboard")
    assert leave(screen, "Restore the cache limit to 32.0 MiB") == 0
    assert {place.ps()[pid]["watched"] for pid in (ready, other)} == {"ready"}


def test_a_socket_is_attached_to_by_its_path(place: Place, ready: int) -> None:
    screen = place.screen("attach", place.ps()[ready]["socket"])
    screen.value(r"^ active +4\.0 MiB ")


@pytest.fixture
def host(place: Place) -> Iterator[list[str]]:
    """`ssh` to another host, which is this one: options and name."""
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if sshd is None or not shutil.which("ssh-keygen"):
        pytest.skip("no ssh server")
    key, config = place.folder / "key", place.folder / "sshd"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {key}\nAuthorizedKeysFile {key}.pub\n"
        "StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n"
    )
    if os.geteuid() == 0:
        # Where sshd separates its privileges; the package makes it when the service starts.
        Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen([sshd, "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL) as server:
        until(lambda: reached(port))
        known = (
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
        )
        yield ["ssh", "-F", "none", "-i", str(key), *known, "-p", str(port), "127.0.0.1"]
        server.terminate()


def reached(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def test_a_program_on_another_host_is_attached_to_by_ssh(place: Place, host: list[str]) -> None:
    pid = place.start(place.script(BUSY), MLXTOP="1")
    until(lambda: place.ps().get(pid, {}).get("active"))
    near, far = str(place.folder / "near.sock"), place.ps()[pid]["socket"]
    with subprocess.Popen([*host[:-1], "-N", "-L", f"{near}:{far}", host[-1]]) as tunnel:
        until(Path(near).exists)
        screen = place.screen("attach", near)
        running(screen)
        screen.value(r"^ active +4\.0 MiB ")
        screen.press("[")
        screen.value(r" cache +20\.0 MiB keyboard")
        assert leave(screen, "Restore the cache limit to 32.0 MiB") == 0
        tunnel.terminate()
    again = place.screen("attach", str(pid))
    again.value(r" cache +32\.0 MiB mlxtop")


def test_ps_is_a_table_for_people(place: Place, ready: int) -> None:
    table = place.alone(MLXTOP, "ps").stdout.splitlines()
    assert table[0].split() == ["pid", "active", "cache", "footprint", "watched", "command"]
    (row,) = [row for row in table if row.split()[0] == str(ready)]
    assert re.fullmatch(r" *\d+ +4\.0 MiB +.* [\d.]+ MiB +ready  \S*program\.py", row)
