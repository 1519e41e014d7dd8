"""Workers of multiprocessing have the names that the program gave them."""

import sys
from pathlib import Path

import pytest

from tests.agent.program import Start

CODE = """
import multiprocessing, sys

def work():
    import mlx.core as mx
    kept = mx.ones((256, 256)); mx.eval(kept)
    multiprocessing.parent_process().join()

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    worker = context.Process(target=work, name=sys.argv[2] if sys.argv[2:] else None, daemon=True)
    worker.start()
    print(worker.pid, flush=True)
    sys.stdin.readline()
"""


DEFAULT = {"spawn": "SpawnProcess", "fork": "ForkProcess", "forkserver": "ForkServerProcess"}


@pytest.mark.parametrize("method", DEFAULT)
def test_a_worker_says_its_name(start: Start, tmp_path: Path, method: str) -> None:
    script = tmp_path / "serve.py"
    script.write_text(CODE)
    for name, told in (("runner-1", "runner-1"), (None, f"{DEFAULT[method]}-1 of serve.py")):
        program = start([sys.executable, str(script), method, *([name] if name else [])])
        pid = int(program.line())
        hello = program.connect(None, pid).message("hello")
        assert (hello["pid"], hello["name"]) == (pid, told)


def test_any_other_program_has_none_and_imports_nothing_for_it(start: Start) -> None:
    code = "import sys, mlx.core as mx\nmx.eval(mx.ones(3)); sys.stdin.readline()\n"
    program = start(code + "print('multiprocessing' in sys.modules, flush=True)")
    assert program.connect(None).message("hello")["name"] is None
    program.say()
    assert program.line() == "False"
    program = start("import multiprocessing\n" + code)
    assert program.connect(None).message("hello")["name"] is None


def test_a_name_that_cannot_be_read_is_none(start: Start) -> None:
    code = """
import multiprocessing.process as module, sys
class Odd(type(module.current_process())):
    @property
    def name(self): raise RuntimeError("not yet")
module._current_process.__class__ = Odd
import mlx.core as mx
mx.eval(mx.ones(3)); sys.stdin.readline()
"""
    program = start(code)
    assert program.connect(None).message("hello")["name"] is None
    assert program.end() == (0, "")
