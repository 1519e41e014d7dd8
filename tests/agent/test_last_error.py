"""The exception that ends a program, as its agent tells it."""

import pytest

from tests.agent.program import LEISURE, MX, Start

READY = LEISURE + "; print('up', flush=True); sys.stdin.readline()\n"


def told(start: Start, code: str) -> tuple[int, str | None, str | None]:
    """Exit code, error and place of a program that runs `code` while somebody watches."""
    program = start(MX + READY + code)
    assert program.line() == "up"
    viewer = program.connect()
    viewer.message("samples")
    program.say()
    exit_code, _ = program.end()
    viewer.end()
    bye = viewer.message("bye")
    return exit_code, bye.get("error"), bye.get("where")


OWN = """
class Ours(RuntimeError):
    def __str__(self): print("asked", flush=True); return "never"
"""


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise RuntimeError('[malloc] Unable to allocate 7 bytes.')", "RuntimeError: [malloc] Unable to allocate 7 bytes."),
        ("{}['x']", "KeyError: 'x'"),
        ("open('/nowhere/at/all')", "FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/at/all'"),
        ("raise ValueError", "ValueError"),
        ("import json; json.loads('[')", "json.decoder.JSONDecodeError: Expecting value: line 1 column 2 (char 1)"),
        # Nothing of the program's own is run for it.
        (OWN + "raise Ours('mine')", "__main__.Ours: mine"),
        ("raise ValueError(mx.ones(3))", "ValueError"),
    ],
)  # fmt: skip
def test_an_exception_that_nobody_caught_is_told(start: Start, code: str, error: str) -> None:
    exit_code, said, where = told(start, code)
    assert (exit_code, said) == (1, error)
    assert where is not None
    assert ("decoder.py:" in where) == ("json" in code)


def test_where_it_was_raised_is_the_innermost_frame(start: Start) -> None:
    assert told(start, "def step():\n    raise ValueError('x')\nstep()")[2] == "<string>:6 step()"


@pytest.mark.parametrize(
    "code", ["", "sys.exit(3)", "sys.exit('text')", "\ntry: 1 / 0\nexcept ZeroDivisionError: pass"]
)
def test_without_one_nothing_is_told(start: Start, code: str) -> None:
    assert told(start, code)[1:] == (None, None)


def test_at_a_prompt_a_program_goes_on_after_an_error(start: Start) -> None:
    assert told(start, "sys.ps1 = '>>> '; raise ValueError('x')") == (1, None, None)
