"""Programs with the oldest MLX there is for them, in an environment of their own that has nothing else: the agent
comes by `mlxtop run`'s bootstrap, and mlxtop itself runs with the newest."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from platformdirs import user_cache_path

from mlxtop.agent import boot
from mlxtop.mlx.trace import native
from mlxtop.trace.reader import TraceFile
from tests.agent.program import KEPT, MX, Start, starting
from tests.process import MLXTOP, ROOT, run

pytestmark = pytest.mark.usefixtures("processes")

OLDEST = "0.26.5"
"""The first of 0.26 with a CPU backend for Linux."""
INSTALL_WITHIN = 90.0


@pytest.fixture(scope="module")
def old_python() -> str:
    return python_with(OLDEST)


def python_with(mlx: str) -> str:
    """The interpreter of an environment with that MLX, kept on this machine."""
    name = f"mlx-{mlx}-python-{sys.version_info[0]}.{sys.version_info[1]}"
    try:
        place = user_cache_path("mlxtop-tests", ensure_exists=True) / name
    except OSError:
        place = Path(tempfile.gettempdir(), f"mlxtop-tests-{os.getuid()}-{name}")
    if not place.exists():
        _make(place, mlx)
    return str(place / "bin" / "python")


def _make(place: Path, mlx: str) -> None:
    # Put there when it is whole: others may make it at the same time.
    made = Path(f"{place}.{os.getpid()}")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True)
    packages = next(made.glob("lib/python*/site-packages"))
    wanted = [f"mlx=={mlx}", *([f"mlx-cpu=={mlx}"] if sys.platform == "linux" else [])]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
    try:
        subprocess.run(
            [*command, "--target", packages, *wanted], check=True, capture_output=True, timeout=INSTALL_WITHIN
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        shutil.rmtree(made)
        cause = (error.stderr or b"").decode().strip().splitlines()
        pytest.skip(f"mlx {mlx} cannot be had here: {cause[-1] if cause else error}")
    with suppress(OSError):
        made.rename(place)
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def start() -> object:
    with starting() as start:
        yield start


def test_a_program_with_the_oldest_mlx_is_watched_in_full(old_python: str, start: Start) -> None:
    code = MX + "mx.set_cache_limit(5); mx.metal.set_memory_limit(2**33)\n"
    code += "print('up', flush=True)\nwhile True:\n    kept = kept + 1; mx.eval(kept); time.sleep(0.001)\n"
    program = start([old_python, "-c", code], PYTHONPATH=boot.BOOTSTRAP)
    assert program.line() == "up"
    viewer = program.connect()
    facts = viewer.message("facts")
    assert facts["facts"]["mlx"] == OLDEST
    assert facts["facts"]["device"]
    assert facts["limits"]["wired"] == [0, "MLX's default", 0]
    changed = viewer.event("limit", name="memory", new=2**33)
    assert changed["old"] == facts["limits"]["memory"][2] > 2**28
    assert changed["source"].startswith("<string>:")
    viewer.until(lambda m: m["type"] == "samples" and m["rows"][-1][1] in range(KEPT[0], 3 * KEPT[0]))
    viewer.say("limit", knob="memory", bytes=2**34, who="keyboard")
    assert viewer.event("limit", source="keyboard")["old"] == 2**33
    for command in "clear", "reset", "collect", "census":
        viewer.say(command, who="keyboard")
        viewer.event(command)
    assert viewer.events("error") == []


def test_a_limit_of_before_is_found_in_a_program_with_the_oldest_mlx(old_python: str, start: Start) -> None:
    code = MX + "mx.set_memory_limit(2**33)\nsys.path.insert(0, sys.argv[1])\n"
    code += "from mlxtop.agent import boot; boot.start(late=True)\n"
    code += "print('up', flush=True)\nwhile True:\n    mx.eval(kept + 1); time.sleep(0.01)\n"
    program = start([old_python, "-c", code, str(ROOT / "src")], run=None)
    assert program.line() == "up"
    viewer = program.connect()
    assert viewer.event("limit", name="memory")["source"] == "program"
    assert viewer.event("limit", name="memory")["new"] == 2**33
    assert viewer.event("limit", name="cache")["source"] == "MLX's default"
    assert viewer.events("error") == []


def test_an_mlx_that_is_older_still_is_told_to_the_viewer_only(tmp_path: Path) -> None:
    (tmp_path / "mlx").mkdir()
    (tmp_path / "mlx" / "__init__.py").touch()
    (tmp_path / "mlx" / "core.py").write_text("__version__ = '0.21.1'\ndef eval(*arrays): ...\n")
    program = ["env", f"PYTHONPATH={tmp_path}", sys.executable, "-c", "import mlx.core; print('done')"]
    done = run([*MLXTOP, "run", "--headless", "--", *program], timeout=60)
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert "mlxtop needs mlx 0.26 or newer, and this is 0.21.1: upgrade mlx there." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(native.load() is None, reason="built without its part in C")
@pytest.mark.parametrize(
    "mlx", [OLDEST, *(pytest.param(mlx, marks=pytest.mark.soak) for mlx in ("0.28.0", "0.29.3", "0.31.2"))]
)
def test_allocations_of_an_older_mlx_are_traced(tmp_path: Path, mlx: str) -> None:
    code = """
import json, sys
sys.path.insert(0, sys.argv[1])
import mlx.core as mx
from mlxtop.mlx.trace.tracer import Tracer
kept = mx.ones((50, 50)) + 1
mx.eval(kept)
mx.reset_peak_memory()
trace = Tracer(sys.argv[2])
trace.start()
for i in range(20):
    mx.eval(kept @ kept, mx.exp(kept))
mx.synchronize()
now = trace.counters
print(json.dumps([mx.__version__, [now.active, now.peak], [mx.get_active_memory(), mx.get_peak_memory()]]))
trace.stop()
"""
    file = tmp_path / "t.mlxtrace"
    done = run([python_with(mlx), "-c", code, str(ROOT / "src"), str(file)], timeout=60)
    assert done.returncode == 0, done.stderr
    version, ours, its = json.loads(done.stdout)
    assert version == mlx
    assert ours == its
    with TraceFile(file) as trace:
        assert {"Matmul", "Exp"} <= {site.operation for site in trace.sites()}
