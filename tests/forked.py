"""Commands of mlxtop that fail, each in a process of its own: forked from one that has imported transformers.

That import takes longer than all else that a command does which cannot load its model. For tests that ask for
nothing but the words and the exit code.
"""

import json
import os
import sys
from collections.abc import Sequence
from tempfile import TemporaryFile
from typing import NamedTuple

from tests.process import run


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def mlxtop_each(commands: Sequence[Sequence[str]]) -> list[Done]:
    """Runs `mlxtop` with each of the given arguments, one after the other."""
    done = run([sys.executable, "-m", "tests.forked"], timeout=120, input=json.dumps(commands))
    assert done.returncode == 0, done.stderr
    return [Done(*each) for each in json.loads(done.stdout)]


def _forked(arguments: list[str]) -> Done:
    with TemporaryFile() as out, TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _become(arguments, out.fileno(), err.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        err.seek(0)
        return Done(code, out.read().decode(), err.read().decode())


def _become(arguments: list[str], out: int, err: int) -> None:
    """What a shell would start, but for the imports. Does not return."""
    from mlxtop.__main__ import main

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.argv = ["mlxtop", *arguments]
    code: object = 1
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(code or 0))  # type: ignore[call-overload]


if __name__ == "__main__":
    from transformers import AutoTokenizer, PreTrainedTokenizerFast  # noqa: F401

    print(json.dumps([_forked(arguments) for arguments in json.load(sys.stdin)]))
