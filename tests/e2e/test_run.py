"""`mlxtop run`: programs that mlxtop did not write, from their first line to their exit code."""

import os
import re
import signal
import sys
from pathlib import Path

import psutil
import pytest

from mlxtop.recording.reader import Recording
from tests.agent.program import until
from tests.e2e.place import BIN, BUSY, Place, after, alive, gone, leave, running
from tests.e2e.screen import MLXTOP, PATIENCE

pytestmark = pytest.mark.e2e

PHASES = """\
import sys, time
import mlx.core as mx
import mlxtop

def work(seconds):
    end, x = time.monotonic() + seconds, mx.ones((64, 64))
    while time.monotonic() < end:
        x = x * 1.0001; mx.eval(x); time.sleep(0.005)

work(0.5)
mlxtop.mark("warm")
mx.set_cache_limit(3 * 2**20)
print("to stdout", sys.argv[1:])
print("to stderr", file=sys.stderr)
with mlxtop.phase("training"):
    work(2)
with mlxtop.phase("asking"):
    print("it heard", repr(sys.stdin.readline()))
print("interactive" if sys.stdin.isatty() else "no terminal")
sys.exit(3)
"""
WAITS = """\
import sys, time
import mlx.core as mx
mx.eval(mx.ones(9))
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    time.sleep(0.2)
    raise
"""


def test_a_program_is_seen_from_its_first_line_to_its_exit_code(place: Place) -> None:
    script = place.script(PHASES)
    screen = place.run(script, "--model", "a b", "--", "-q")
    screen.wait_for("to stdout ['--model', 'a b', '--', '-q']")
    screen.wait_for("to stderr")
    screen.wait_for("● training")
    screen.value(r" [1-9]\d*\.\d evals/s ")
    screen.wait_for("since “warm”")
    # Who changed the limit: in the panel by the end of its path, in the status row in full.
    line = PHASES.splitlines().index("mx.set_cache_limit(3 * 2**20)") + 1
    screen.value(rf" cache +3\.0 MiB …\w*\.py:{line}\b")
    screen.value(
        rf"cache limit 32\.0 MiB → 3\.0 MiB by \S*program\.py:{line} · evals/s before \d+\.\d, after \d+"
    )
    screen.wait_for("limit 3 MiB")
    screen.wait_for("● asking")
    screen.press("i")
    screen.type("a word\r")
    screen.wait_for("▸ a word")
    screen.wait_for(r"it heard 'a word\n'")
    screen.wait_for("no terminal")
    screen.wait_for("● ended")
    screen.wait_for("ended with exit code 3")
    # The picture of what was stays until a person leaves; nothing is asked then.
    screen.press("q")
    assert screen.exit() == 3
    assert screen.left() == []
    assert after(screen) == (
        f"mlxtop: {script} --model a b -- -q ended with exit code 3\r\n"
        "mlxtop: mlxtop report --last shows its last two minutes.\r\n"
    )
    assert place.logs() == []


@pytest.mark.parametrize(
    ("code", "expected", "word"),
    [
        ("pass", 0, "ended with exit code 0"),
        ("sys.exit(3)", 3, "ended with exit code 3"),
        ("os.kill(os.getpid(), signal.SIGTERM)", 128 + 15, "killed by SIGTERM"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 128 + 9, "killed by SIGKILL"),
        ("raise ValueError('a mistake')", 1, "ended with exit code 1"),
    ],
)
def test_the_exit_code_is_the_programs(place: Place, code: str, expected: int, word: str) -> None:
    screen = place.run(
        place.script(f"import os, signal, sys\nimport mlx.core as mx\nmx.eval(mx.ones(9))\n{code}\n")
    )
    screen.wait_for(word)
    screen.press("q")
    assert screen.exit() == expected
    assert [what for what in screen.left() if what != "a traceback"] == [], "but for the program's own"


def test_a_traceback_of_the_programs_is_in_the_pane(place: Place) -> None:
    screen = place.run(
        place.script("import mlx.core as mx\nmx.eval(mx.ones(9))\nraise ValueError('a mistake')\n")
    )
    screen.wait_for("Traceback (most recent call last):")
    screen.wait_for("ValueError: a mistake")
    screen.press("q")
    assert screen.exit() == 1


def test_a_program_that_never_uses_mlx_is_run_all_the_same(place: Place) -> None:
    screen = place.run(place.script("import sys\nprint('hello', sys.stdin.readline())\n"))
    screen.wait_for("has not used MLX yet")
    screen.press("i")
    screen.type("you\r")
    screen.wait_for("hello you")
    screen.wait_for("ended with exit code 0; it did not use MLX as far as mlxtop could see")
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []


def test_a_module_is_run_by_its_name(place: Place) -> None:
    place.script(BUSY, "modular.py")
    screen = place.run(sys.executable, "-m", "modular", "--fast", cwd=place.folder)
    screen.wait_for("mlxtop modular --fast")
    running(screen)
    assert leave(screen, "Stop the program") == 130


def test_a_console_script_is_found_on_the_path(place: Place, checkpoint: Path) -> None:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    screen = place.run(
        "mlx_lm.generate",
        "--model",
        checkpoint,
        "--prompt",
        "hello",
        "--max-tokens",
        "20",
        env={"PATH": path},
    )
    screen.wait_for("Generation: 20 tokens")
    # However long the command, how it ended is never cut off: not in the status row, not in the pane.
    screen.value(r"^ (?!!).*ended with exit code 0 *$")
    screen.press("q")
    assert screen.exit() == 0


def test_a_program_that_is_not_there_is_told_in_one_sentence(place: Place) -> None:
    for screen in (place.run("no-such-program"), place.screen("run", "--headless", "no-such-program")):
        assert screen.exit() == 127
        assert screen.left() == []
        assert screen.text().strip().startswith("mlxtop: Could not find the program no-such-program:")
        assert b"\x1b[?1049h" not in screen.raw


def test_a_program_that_may_not_be_run_is_told_in_one_sentence(place: Place) -> None:
    script = place.script("print(1)\n", "script")
    screen = place.run(script)
    assert screen.exit() == 126
    assert screen.text().strip() == f"mlxtop: Could not run {script}: Permission denied."


FORKS = """\
import os, sys, time
import mlx.core as mx
for worker in range(2):
    if os.fork() == 0:
        kept = mx.ones(((worker + 1) * 1024, 1024)); mx.eval(kept)
        if worker: mx.set_cache_limit(3 * 2**20)
        print("worker", worker, flush=True)
        while True: mx.eval(mx.ones(9)); time.sleep(0.01)
for _ in range(2): os.wait()
"""


def test_workers_that_a_server_forks_are_sessions_of_their_own(place: Place) -> None:
    """The server itself makes no array, so it is not listed."""
    screen = place.run(place.script(FORKS))
    screen.value(r" 2 sessions ")
    screen.wait_for("worker 0")
    for size in (r"4\.0", r"8\.0"):
        screen.value(rf"^[▌ ][ ↑↓]+\d+ +● run +{size} MiB ")
    larger = screen.value(r"^[▌ ][ ↑↓]+(\d+) +● run +8\.0 MiB ")[1]
    screen.click(*screen.find(larger))
    screen.value(rf"^▌[ ↑↓]+{larger} ")
    screen.press("enter")
    running(screen)
    screen.value(r" cache +3\.0 MiB …gram\.py:6")
    assert leave(screen, "Stop the program") == 130
    assert place.processes() == set()


def test_input_that_was_redirected_is_the_programs(place: Place) -> None:
    script = place.script(
        BUSY.replace("x = mx", "print('read', sys.stdin.read().split(), flush=True)\nx = mx")
    )
    command = f"printf 'one\\ntwo\\n' | {MLXTOP} run -- {sys.executable} {script}"
    screen = place.screen(command=["bash", "-c", command])
    running(screen)
    screen.wait_for("read ['one', 'two']")
    assert leave(screen, "Stop the program") == 130


def test_the_log_that_was_asked_for_stays(place: Place) -> None:
    log = place.folder / "kept.log"
    screen = place.screen("run", "--log", log, "--", sys.executable, "-c", "print('in the log')")
    screen.wait_for("ended with exit code 0")
    screen.press("q")
    assert screen.exit() == 0
    assert log.read_text() == "in the log\n"


def test_stopping_a_program_that_hears_no_gentle_word(place: Place) -> None:
    deaf = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    screen = place.run(place.script(deaf + BUSY))
    running(screen)
    pid = place.only(screen.process.pid)
    assert leave(screen, "Stop the program") == 128 + 15
    assert not alive(pid)
    assert "killed by SIGTERM" in after(screen)


def test_escape_stays(place: Place) -> None:
    screen = place.run(place.script(BUSY))
    running(screen)
    screen.press("q")
    screen.wait_for("Stop the program")
    screen.press("escape")
    screen.wait_for(lambda text: "Stop the program" not in text)
    assert leave(screen, "Stop the program") == 130
    assert place.processes() == set()


def test_ctrl_c_asks_and_ctrl_c_again_stops(place: Place) -> None:
    screen = place.run(place.script(BUSY))
    running(screen)
    screen.press("ctrl+c")
    screen.wait_for("Leave it running")
    screen.press("ctrl+c")
    assert screen.exit() == 130
    assert screen.left() == []
    assert place.processes() == set()


def test_a_closed_window_ends_mlxtop_and_the_program_goes_on(place: Place) -> None:
    screen = place.run(place.script(BUSY))
    running(screen)
    pid = place.only(screen.process.pid)
    screen.hang_up()
    assert screen.process.wait(PATIENCE) == 128 + signal.SIGHUP
    assert place.ps()[pid]["watched"] == "ready"


def test_a_short_program_is_not_said_to_use_no_mlx(place: Place) -> None:
    program = "import mlx.core as mx; mx.eval(mx.ones(2**20))"
    done = place.alone(MLXTOP, "run", "--headless", sys.executable, "-c", program)
    assert done.returncode == 0
    # Whoever looked in time tells all of it, and else what its peak was.
    assert re.search(
        r"Peak: +4\.0 MiB|ended before mlxtop read its memory; its peak was 4\.0 MiB", done.stderr
    )
    assert "saw no MLX" not in done.stderr


def test_a_signal_to_mlxtop_is_the_programs(place: Place) -> None:
    screen = place.run(place.script(BUSY))
    running(screen)
    screen.signal(signal.SIGTERM)
    screen.wait_for("killed by SIGTERM")
    screen.press("q")
    assert screen.exit() == 128 + 15
    assert screen.left() == []


def test_the_program_outlives_its_terminal(place: Place) -> None:
    screen = place.run(place.script("import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + BUSY))
    running(screen)
    pid = place.only(screen.process.pid)
    screen.signal(signal.SIGKILL)
    screen.exit()
    until(lambda: place.ps()[pid]["watched"] == "ready")


# Without a screen


def generate(checkpoint: Path, prompt: str = "hello there") -> list[str]:
    tool = str(BIN / "mlx_lm.generate")
    return [tool, "--model", str(checkpoint), "--prompt", prompt, "--max-tokens", "24", "--temp", "0"]


def told(output: str) -> str:
    """What mlx-lm prints, without its speeds, which differ from run to run."""
    return re.sub(r"[\d.]+ tokens-per-sec", "", output)


def test_headless_leaves_the_output_to_the_program(place: Place, checkpoint: Path) -> None:
    bare = place.alone(*generate(checkpoint))
    watched = place.alone(MLXTOP, "run", "--headless", "--", *generate(checkpoint))
    assert bare.returncode == watched.returncode == 0
    assert "Generation: 24 tokens" in watched.stdout
    assert told(watched.stdout) == told(bare.stdout)
    assert "Ending memory" not in bare.stderr
    assert re.search(r"Ending memory\nPeak: +\d+\.\d KiB \(\d{6}\)", watched.stderr)
    assert re.search(r"Evals: +\d+ in ", watched.stderr)
    assert watched.stderr.endswith("ended with exit code 0\n")


def test_a_job_script_with_a_tmpdir_of_its_own_is_watched(place: Place) -> None:
    code = "import mlx.core as mx, time; x = mx.ones((512, 512)); mx.eval(x); time.sleep(1)"
    program = place.script(code, "once.py")
    script = (
        f"export TMPDIR={place.folder}/job; unset XDG_RUNTIME_DIR; mkdir $TMPDIR; "
        f"{sys.executable} {program}; rmdir $TMPDIR"
    )
    done = place.alone(MLXTOP, "run", "--headless", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert "saw no MLX" not in done.stderr
    assert "once.py (process " in done.stderr


def test_headless_leaves_the_input_to_the_program(place: Place, checkpoint: Path) -> None:
    bare = place.alone(*generate(checkpoint, "-"), input="words from a pipe")
    watched = place.alone(MLXTOP, "run", "--headless", *generate(checkpoint, "-"), input="words from a pipe")
    assert watched.returncode == 0
    assert "Generation: 24 tokens" in watched.stdout
    assert told(watched.stdout) == told(bare.stdout)


@pytest.mark.parametrize(
    ("code", "expected"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), signal.SIGKILL)", 128 + 9)]
)
def test_headless_the_exit_code_is_the_programs(place: Place, code: str, expected: int) -> None:
    script = place.script(f"import os, signal, sys\nimport mlx.core as mx\nmx.eval(mx.ones(9))\n{code}\n")
    assert place.alone(MLXTOP, "run", "--headless", "--", sys.executable, script).returncode == expected


def test_headless_sets_limits_from_the_start(place: Place) -> None:
    script = place.script(
        "import time\nimport mlx.core as mx\nfor i in range(400):\n    mx.eval(mx.ones(9)); time.sleep(0.005)\n"
    )
    command = (MLXTOP, "run", "--headless", "--cache-limit", "5M", "--", sys.executable, script)
    assert re.search(r"Cache limit: +5\.0 MiB \(5242880\) flag", place.alone(*command).stderr)


def test_headless_ctrl_c_reaches_the_program_once(place: Place) -> None:
    script = place.script(WAITS)
    codes = {}
    for name, command in {
        "bare": [sys.executable, script],
        "watched": [MLXTOP, "run", "--headless", "--", sys.executable, script],
    }.items():
        # High enough for the summary below what the program said.
        screen = place.screen(command=command, rows=60)
        screen.wait_for("ready")
        screen.press("ctrl+c")
        codes[name] = screen.exit()
        assert screen.text().count("interrupted") == 1
        assert screen.text().count("KeyboardInterrupt") == 1, screen.dump()
    assert codes == {"bare": -signal.SIGINT, "watched": 128 + signal.SIGINT}


def test_headless_a_signal_to_mlxtop_is_the_programs(place: Place) -> None:
    screen = place.screen("run", "--headless", "--", sys.executable, place.script(WAITS))
    screen.wait_for("ready")
    screen.signal(signal.SIGTERM)
    assert screen.exit() == 128 + signal.SIGTERM
    assert "killed by SIGTERM" in screen.text()
    assert place.processes() == set()


def test_headless_stops_with_the_program_and_goes_on_with_it(place: Place) -> None:
    """Ctrl-Z and fg in a shell, as with the bare program."""
    script = place.script(WAITS.replace("time.sleep(60)", "print('heard', sys.stdin.readline())"))
    bash = ["bash", "--norc", "--noprofile", "-i"]
    shell = place.screen(command=bash, env={"PS1": "$ ", "BASH_SILENCE_DEPRECATION_WARNING": "1"})
    shell.wait_for("$ ")
    shell.type(f"{MLXTOP} run --headless -- {sys.executable} {script}\r")
    shell.wait_for("\nready")
    program = psutil.Process(shell.foreground)
    for _ in range(2):
        shell.send("\x1a")
        shell.wait_for(lambda text: re.search(r"\[1\]\+ +Stopped[^$]*\$ *$", text.rstrip()))
        shell.type("clear; fg\r")
        shell.wait_for(lambda text: "Stopped" not in text and "--headless" in text)
        # A Ctrl-Z before it has the terminal is nobody's, and one before it goes on is forgotten.
        until(lambda: shell.foreground == program.pid and program.status() != psutil.STATUS_STOPPED)
    shell.type("again\r")
    shell.wait_for("heard again")
    shell.wait_for("ended with exit code 0")
    shell.type("echo code $?\r")
    shell.wait_for("\ncode 0")


def test_headless_the_program_keeps_the_terminal(place: Place) -> None:
    script = place.script(
        "import os, sys\nprint([os.isatty(fd) for fd in (0, 1, 2)], os.tcgetpgrp(0) == os.getpgrp())\n"
    )
    screen = place.screen("run", "--headless", "--", sys.executable, script)
    assert screen.exit() == 0
    assert "[True, True, True] True" in screen.text()


def test_a_program_that_ends_while_its_dashboard_is_open_can_be_looked_at(place: Place) -> None:
    screen = place.run(place.script(BUSY))
    running(screen)
    pid = place.only(screen.process.pid)
    os.kill(pid, signal.SIGKILL)
    screen.wait_for("killed by SIGKILL")
    gone(pid)
    screen.wait_for("● ended")
    screen.press("g")
    screen.wait_for("0 B┤")
    screen.press("g")
    screen.wait_for("where it goes")
    screen.press("q")
    assert screen.exit() == 128 + 9


FLOOD = """\
import os, threading, time
import mlx.core as mx

def flood():
    print("it begins", flush=True)
    while True:
        # As if so much had been written: on the disk it takes no room.
        os.ftruncate(1, os.fstat(1).st_size + 2**26)
        os.write(1, b"x\\n")
        time.sleep(0.01)

threading.Thread(target=flood, daemon=True).start()
x = mx.ones((64, 64))
while True:
    x = x * 1.0001; mx.eval(x); time.sleep(0.005)
"""


def test_a_program_that_prints_gigabytes_a_second_is_watched_as_ever(place: Place) -> None:
    path = place.folder / "run.mlxtop"
    screen = place.screen("run", "--record", path, "--", sys.executable, place.script(FLOOD))
    # The list has the same line while MLX is not there yet, but no marks.
    running(screen)
    # Two looks at what it left out are two pictures, and a key acts meanwhile.
    first = screen.value(r" … ([\d.]+) GiB of output left out so far: it comes too fast …")[1]
    screen.press("m")
    screen.wait_for("since “mark 1”")
    screen.value(rf" … (?!{re.escape(first)} )[\d.]+ GiB of output left out so far")
    assert leave(screen, "Stop the program") == 130
    recording = Recording(path)
    times = [sample.time for sample in recording.samples(1)]
    recording.close()
    # Ten a second: on a loaded machine some are late, and none waits for what is printed.
    assert len(times) > 0.5 * 10 * (times[-1] - times[0])
