"""What Tab completes, in real shells."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from mlxtop.cli.main import cli
from tests.e2e.screen import Screen

SETUP = {
    "bash": (("--norc", "--noprofile", "-i"), 'eval "$(_MLXTOP_COMPLETE=bash_source mlxtop)"'),
    "zsh": (
        ("-f", "-i"),
        'autoload -U compinit; compinit -D; eval "$(_MLXTOP_COMPLETE=zsh_source mlxtop)"',
    ),
    "fish": (("--no-config", "-i"), "_MLXTOP_COMPLETE=fish_source mlxtop | source"),
}


def offers(*words: str) -> list[str]:
    """What is offered for the last word. A file is offered as `file:` and what was typed."""
    *before, last = words
    found = BashComplete(cli, {}, "mlxtop", "_MLXTOP_COMPLETE").get_completions(before, last)
    return [item.value if item.type == "plain" else f"{item.type}:{item.value}" for item in found]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("run", "--on-budget", ""), ["mark", "clear", "limit:", "stop", "exec:"]),
        (("run", "--budget", "c"), ["cgroup"]),
        (("diff", "--fail-if", "pe"), ["peak"]),
        (("run", "--record", "ni"), ["file:ni"]),
        (("trace", "sh"), ["show"]),
        (("trace", "--", "./sh"), ["file:./sh"]),
        # The options of another program are its own, with and without `--`.
        (("run", "--", "python", "--re"), ["file:--re"]),
        (("run", "python", "--re"), ["file:--re"]),
        (("run", "python", "--budget", "c"), ["file:c"]),
        (("run", "--rec"), ["--record", "--record-text"]),
    ],
)
def test_values(words: Sequence[str], offered: list[str]) -> None:
    assert offers(*words) == offered


def test_models_are_those_of_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models--mlx-community--Llama-3.2-3B--4bit").mkdir()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert offers("--model", "mlx-c") == ["mlx-community/Llama-3.2-3B--4bit"]
    assert offers("--model", "./my") == ["file:./my"]


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("shell", SETUP)
def test_a_real_shell(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} on the path")
    (tmp_path / "overnight.mlxtop").touch()
    arguments, line = SETUP[shell]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with Screen(
        command=[program, *arguments], cwd=tmp_path, env={"PATH": path, "HOME": str(tmp_path)}
    ) as screen:
        screen.type(f"{line}; echo rea''dy\r")
        screen.wait_for(lambda text: "\nready" in text)
        for typed, completed in (
            ("mlxtop exp", "mlxtop export"),
            ("mlxtop replay ov", "mlxtop replay overnight.mlxtop"),
            ("mlxtop run --record-t", "mlxtop run --record-text"),
        ):
            screen.type(f"{typed}\t")
            screen.wait_for(completed)
            screen.press("ctrl+u")
