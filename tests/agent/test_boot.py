"""The way into a program, and that the program cannot tell: by the installed .pth, and by a folder on PYTHONPATH."""

import ast
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core
import pytest

from mlxtop.agent import boot
from mlxtop.sessions.program import child_environment as run_environment
from tests.agent.program import (
    IDLE,
    MX,
    PATIENCE,
    Start,
    descriptors,
    environment,
    short_folder,
    threads,
    until,
)

HEAVY = {
    "textual", "rich", "plotext", "numpy", "mlx_lm", "transformers", "click", "psutil", "platformdirs",
    "dataclasses", "pathlib", "asyncio", "subprocess", "logging", "inspect", "typing", "importlib.metadata",
    "contextlib", "json", "re", "selectors", "signal", "socket", "threading", "unicodedata",
}  # fmt: skip
TELL = """
import json, os, sys
site = sys.modules.get("sitecustomize")
print(json.dumps({
    "path": sys.path, "argv": sys.argv, "orig_argv": sys.orig_argv[1:], "flags": repr(sys.flags),
    "PYTHONPATH": os.environ.get("PYTHONPATH"), "sitecustomize": getattr(site, "__file__", None),
    "said": getattr(sys, "said", None), "name": __name__, "prefix": sys.prefix,
    "executable": sys.executable, "finders": [repr(finder).split(" at ")[0] for finder in sys.meta_path if "mlxtop" not in repr(finder)],
}))
"""


@pytest.fixture(scope="module")
def bare() -> Iterator[str]:
    """A Python that has MLX and no mlxtop."""
    with short_folder() as folder:
        venv.create(folder / "venv", symlinks=True, with_pip=False)
        python = str(folder / "venv" / "bin" / "python")
        paths = json.loads(
            output([python, "-c", "import json, sysconfig; print(json.dumps(sysconfig.get_paths()))"])
        )
        installed = Path(mlx.core.__file__).parents[1]
        for part in ("mlx", *(libraries.name for libraries in installed.glob("mlx_*.libs"))):
            (Path(paths["purelib"]) / part).symlink_to(installed / part)
        assert (
            subprocess.run([python, "-c", "import mlxtop"], capture_output=True, check=False).returncode == 1
        )
        yield python


def output(command: list[str], env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, env=env, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(params=["with mlxtop installed", "without"])
def python(request: pytest.FixtureRequest, bare: str) -> str:
    """A Python to be watched by either way."""
    return sys.executable if request.param == "with mlxtop installed" else bare


def watched(home: Path, python: str, **more: str) -> dict[str, str]:
    """The environment that `mlxtop run` gives."""
    env = environment(home, "1", **more)
    ours = run_environment("1", None)["PYTHONPATH"].split(os.pathsep)[0]
    return {**env, "PYTHONPATH": os.pathsep.join(filter(None, (ours, more.get("PYTHONPATH"))))}


# How little there is


def test_a_python_without_mlx_gets_five_small_modules_and_nothing_else(start: Start) -> None:
    code = """
import sys
ours = sorted(name for name in sys.modules if name.startswith("mlxtop"))
threads = "threading" in sys.modules
print(ours, threads, flush=True)
sys.stdin.readline()
"""
    program = start([sys.executable, "-c", code])
    assert (
        program.line()
        == "['mlxtop', 'mlxtop.agent', 'mlxtop.agent.boot', 'mlxtop.ipc', 'mlxtop.ipc.environment'] False"
    )
    if sys.platform == "linux":
        assert threads(program.pid) == 1
        assert not [name for name in descriptors(program.pid) if name.startswith("socket:")]
    assert not list(start.home.iterdir())
    assert program.end() == (0, "")


def test_without_the_variable_there_is_nothing_at_all(start: Start) -> None:
    code = "import sys; import mlx.core; print([n for n in sys.modules if n.startswith('mlxtop')])"
    assert output([sys.executable, "-c", code], environment(start.home, None)) == "[]\n"


def modules(env: dict[str, str]) -> set[str]:
    code = "import mlx.core as mx; mx.eval(mx.ones(3)); mx.set_cache_limit(5); mx.clear_cache(); import time; time.sleep(0.3)"
    code += "; import sys; print(' '.join(sys.modules))"
    return set(output([sys.executable, "-c", code], env).split())


def test_the_agent_brings_none_of_the_heavy_modules(start: Start) -> None:
    more = modules(environment(start.home)) - modules(environment(start.home, None))
    assert "mlxtop.agent.agent" in more
    # On a Mac the footprint comes by `ctypes`.
    assert not more & (HEAVY - ({"inspect", "subprocess"} if sys.platform == "darwin" else set()))
    assert {name.split(".")[0] for name in more} <= {"mlxtop", *sys.stdlib_module_names}


def test_a_viewer_makes_it_import_nothing(start: Start) -> None:
    end = "print('up', flush=True); sys.stdin.readline(); print(set(sys.modules) - before, flush=True); sys.stdin.readline()"
    program = start(MX + "before = set(sys.modules)\n" + end)
    assert program.line() == "up"
    viewer = program.connect()
    viewer.say("mark", name="é €\ufffe", who="keyboard")
    viewer.event("mark")
    viewer.say("limit", knob="cache", bytes=7, who="keyboard")
    viewer.event("limit", new=7)
    program.say()
    assert program.line() == "set()"


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="newer ones know the main thread")
def test_a_census_takes_no_thread_for_the_main_one(start: Start) -> None:
    tell = "import threading; print(threading.main_thread().ident == ident, flush=True); sys.stdin.readline()"
    program = start(MX + f"import _thread; ident = _thread.get_ident()\n{IDLE}{tell}")
    assert program.line() == "up"
    viewer = program.connect()
    viewer.say("census")
    # The program waits: the agent's thread takes it.
    viewer.event("census")
    program.say()
    assert program.line() == "True"
    assert program.end() == (0, "")


# That the program cannot tell


WAYS: dict[str, list[str]] = {
    "a script": ["script.py", "--flag", "x"],
    "-m": ["-m", "script", "x"],
    "-c": ["-c", TELL, "x"],
    "-I": ["-I", "-c", TELL],
    "-E": ["-E", "-c", TELL],
    "-s -O": ["-s", "-O", "script.py"],
    "-P": ["-P", "script.py"],
    "-X dev": ["-X", "dev", "script.py"],
    "a folder": ["folder", "x"],
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "script.py").write_text(TELL)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "__main__.py").write_text(TELL)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "sitecustomize.py").write_text("import sys; sys.said = 'hello'\n")
    (tmp_path / "empty").mkdir()
    return tmp_path


def told(command: list[str], env: dict[str, str], project: Path) -> dict[str, Any]:
    return json.loads(output(command, env, project))  # type: ignore[no-any-return]


def compare(home: Path, python: str, command: list[str], project: Path, **more: str) -> tuple[Any, Any]:
    plain = told(command, environment(home, None, **more), project)
    with_us = told(command, watched(home, python, **more), project)
    # Only the variable itself may differ, and only where mlxtop is not installed: it is for the children.
    kept = with_us.pop("PYTHONPATH"), plain.pop("PYTHONPATH")
    if python == sys.executable and "-I" not in command and "-E" not in command:
        assert kept[0] == kept[1]
    else:
        assert kept[0] in (kept[1], os.pathsep.join(filter(None, (boot.BOOTSTRAP, kept[1]))))
    return plain, with_us


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lib", ["none", "lib", "empty:lib"])
def test_paths_arguments_flags_and_sitecustomize_are_the_programs_own(
    start: Start, python: str, project: Path, way: str, lib: str
) -> None:
    paths = os.pathsep.join(str(project / part) for part in lib.split(":") if part != "none")
    more = {"PYTHONPATH": paths} if paths else {}
    plain, with_us = compare(start.home, python, [python, *WAYS[way]], project, **more)
    assert with_us == plain
    if "lib" in lib and way not in ("-I", "-E"):
        assert with_us["said"] == "hello"


def test_a_console_script_too(start: Start, python: str, project: Path) -> None:
    script = project / "tool"
    script.write_text(f"#!{python}\n{TELL}")
    script.chmod(0o755)
    plain, with_us = compare(start.home, python, [str(script), "x"], project)
    assert with_us == plain


@pytest.mark.parametrize(
    "fault", ["raise ValueError('its own')", "import nothing_like_this", "raise SystemExit(3)"]
)
def test_a_sitecustomize_that_fails_fails_as_it_does_without_us(
    start: Start, python: str, project: Path, fault: str
) -> None:
    (project / "lib" / "sitecustomize.py").write_text(fault)
    ends = [
        subprocess.run([python, "-c", "print(5)"], env=env, capture_output=True, text=True, check=False)
        for env in (
            environment(start.home, None, PYTHONPATH=str(project / "lib")),
            watched(start.home, python, PYTHONPATH=str(project / "lib")),
        )
    ]
    plain, with_us = [(end.returncode, end.stdout, end.stderr.splitlines()[-1:]) for end in ends]
    assert with_us == plain


def test_a_sitecustomize_that_imports_mlx_is_watched_too(start: Start, python: str, project: Path) -> None:
    (project / "lib" / "sitecustomize.py").write_text("import mlx.core as mx; mx.eval(mx.ones(7))\n")
    env = watched(start.home, python, PYTHONPATH=str(project / "lib"))
    program = start([python, "-c", "import sys; sys.stdin.readline()"], **of(env))
    program.connect().message("samples")
    assert program.end() == (0, "")


def of(env: dict[str, str]) -> dict[str, str]:
    return {"PYTHONPATH": env["PYTHONPATH"]}


# That it works


def test_a_program_is_watched(start: Start, python: str) -> None:
    program = start([python, "-c", MX + "sys.stdin.readline()"], **of(watched(start.home, python)))
    viewer = program.connect()
    assert viewer.message("facts")["facts"]["pid"] == program.pid
    assert program.end() == (0, "")


def test_a_child_is_watched_wherever_it_is_started_from(start: Start, python: str) -> None:
    code = f"""
import subprocess, sys
child = subprocess.Popen([{python!r}, "-c", {MX + "sys.stdin.readline()"!r}])
print(child.pid, flush=True)
child.wait()
"""
    program = start([python, "-c", code], run="r", **of(watched(start.home, python)))
    viewer = program.connect(pid=int(program.line()))
    assert viewer.message("hello")["run"] == "r"
    assert program.end() == (0, "")


def test_mlx_itself_looks_as_it_does_without_us(start: Start, python: str) -> None:
    code = """
import sys, mlx.core as mx, inspect
import mlx.core
print(type(mx.__loader__).__name__, type(mx.__spec__.loader).__name__, mx.__spec__.name, mx.__name__)
print([f for f in sys.meta_path if "mlxtop" in repr(f)])
print([mx.eval.__name__, mx.eval.__doc__, mx.clear_cache.__name__, mx.set_cache_limit.__doc__])
print(mx.set_cache_limit(limit=3))
from mlx.core import eval as e; e([mx.ones(3), {"a": mx.ones(2)}]); mx.async_eval(mx.ones(3))
"""
    plain = output([python, "-c", code], environment(start.home, None))
    assert output([python, "-c", code], watched(start.home, python)) == plain


def test_an_import_of_mlx_that_fails_fails_as_it_does_without_us(
    start: Start, python: str, project: Path
) -> None:
    (project / "lib" / "mlx").mkdir()
    (project / "lib" / "mlx" / "__init__.py").write_text("")
    (project / "lib" / "mlx" / "core.py").write_text("raise ImportError('no such device')")
    code = """
for _ in range(2):
    try: import mlx.core
    except ImportError as error: print(error)
"""
    more = {"PYTHONPATH": str(project / "lib")}
    plain = output([python, "-c", code], environment(start.home, None, **more))
    assert plain == "no such device\n" * 2
    assert output([python, "-c", code], watched(start.home, python, **more)) == plain


def test_mlx_that_is_not_there_is_not_there(start: Start, python: str, project: Path) -> None:
    (project / "lib" / "mlx").mkdir()
    (project / "lib" / "mlx" / "__init__.py").write_text("")
    code = "import importlib.util\nprint(importlib.util.find_spec('mlx.core'))\n"
    code += "for _ in range(2):\n try: import mlx.core\n except ImportError as e: print(e)"
    more = {"PYTHONPATH": str(project / "lib")}
    plain = output([python, "-c", code], environment(start.home, None, **more))
    assert output([python, "-c", code], watched(start.home, python, **more)) == plain


def test_looking_for_mlx_does_not_spoil_its_import(start: Start, python: str) -> None:
    # `importlib.util.find_spec` is how libraries ask whether MLX is there.
    code = (
        "import importlib.util; assert importlib.util.find_spec('mlx.core')\n" + MX + "sys.stdin.readline()"
    )
    program = start([python, "-c", code], **of(watched(start.home, python)))
    until(program.sockets)


def test_two_threads_that_import_mlx_at_once_start_one_agent(start: Start) -> None:
    code = """
import sys, threading
def load():
    import mlx.core as mx; mx.eval(mx.ones(3))
    mx.synchronize(); mx.clear_streams()
threads = [threading.Thread(target=load) for _ in range(8)]
for t in threads: t.start()
for t in threads: t.join()
print(threading.active_count(), flush=True)
sys.stdin.readline()
"""
    program = start(code)
    # The agent's own thread is unknown to `threading`.
    assert program.line() == "1"
    program.connect().message("samples")
    assert len(program.sockets()) == 1


def test_a_log_that_is_gone_keeps_no_agent_away(start: Start) -> None:
    program = start(MX + "sys.stdin.readline()", MLXTOP_LOG="/nowhere/at/all.log")
    until(program.sockets)


def test_lines_come_when_they_are_written_where_the_log_is_the_output(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        child = subprocess.Popen(
            [sys.executable, "-c", "print('a line'); import sys; sys.stdin.readline()"],
            stdin=subprocess.PIPE,
            stdout=file,
            env=environment(start.home, MLXTOP_LOG=str(log)),
        )
    until(lambda: log.read_text() == "a line\n")
    child.communicate(timeout=PATIENCE)


def test_closed_standard_streams(start: Start, python: str) -> None:
    code = f"exec {python} -c 'import mlx.core as mx, os; mx.eval(mx.ones(3)); os._exit(7)' <&- >&- 2>&-"
    program = start(["sh", "-c", code], **of(watched(start.home, python)))
    assert program.end()[0] == 7


def test_a_python_too_old_is_left_alone() -> None:
    # The files it would read first are a program there too.
    for file in (boot.__file__, boot.BOOTSTRAP + "/sitecustomize.py"):
        ast.parse(Path(file).read_text(), feature_version=(3, 7))


def test_nobody_waits_for_a_viewer_that_is_gone(start: Start) -> None:
    code = (
        MX
        + """
from mlxtop.agent.agent import _agent
def awaited(viewer):
    os.environ["MLXTOP_VIEWER"] = viewer
    return _agent.is_awaited()
gone = os.spawnlp(os.P_NOWAIT, "true", "true")
os.waitpid(gone, 0)
print([awaited(str(os.getppid())), awaited(str(gone)), awaited("")], flush=True)
"""
    )
    assert start(code, MLXTOP="run").line() == "[True, False, False]"
