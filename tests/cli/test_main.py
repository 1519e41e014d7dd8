"""What `mlxtop` says of arguments that lead nowhere."""

import os

import pytest

from tests.process import mlxtop

pytestmark = pytest.mark.usefixtures("processes")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("replay", "nope"), "mlxtop: There is no recording nope.\n"),
        (
            ("attach", "99999999"),
            "mlxtop: There is no process 99999999: `mlxtop ps` lists those that use MLX.\n",
        ),
        (
            ("attach", "/nope"),
            "mlxtop: /nope is neither a process id nor an agent's socket: mlxtop ps lists both.\n",
        ),
    ],
)
def test_what_is_not_there_is_told_before_a_terminal_is_missed(
    arguments: tuple[str, ...], sentence: str
) -> None:
    done = mlxtop(*arguments, preexec_fn=os.setsid)
    assert done.stderr == sentence
    assert done.returncode != 0


def test_a_command_that_is_nearly_one_is_suggested() -> None:
    assert "No such command 'inf'. Did you mean 'info'?" in mlxtop("inf").stderr
    assert "Did you mean" not in mlxtop("xyzzy").stderr
