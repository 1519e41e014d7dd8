"""A checkpoint with a real tokenizer: loading it, talking to it, changing the limits while it reads."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Measured, Spawn
from tests.e2e.looks import SIZE, focus
from tests.e2e.screen import Screen

pytestmark = pytest.mark.e2e

NARROW = 100
"""Too narrow for the comparison of limits beside the output."""
LAST = r"last: (\d+) tokens? at \d+\.\d tok"


def reply_after(screen: Screen, prompt: str) -> str:
    """Waits for an answer under a prompt in the output, and returns its first row."""
    # Beside the output stands the comparison of limits.
    found = screen.value(rf"^ ▸ {re.escape(prompt)}(?: {{3}}.*)?\n +(\S.*)$")[1]
    return re.split(r" {3}", found)[0]


def test_a_checkpoint_answers_and_chats(spawn: Spawn, checkpoint: Path) -> None:
    options = ["--prefill-step-size", "16", "--max-tokens", "24"]
    screen = spawn("--model", checkpoint, "--prompt", "the cache keeps freed buffers", *options)
    screen.wait_for(checkpoint.name)
    screen.value(LAST)
    assert reply_after(screen, "the cache keeps freed buffers")
    screen.wait_for("● idle")
    # Weights are measured, and they are the checkpoint's.
    screen.value(rf"■ weights +{SIZE} ")
    # A turn typed in the dashboard: its answer streams, and the conversation's KV cache is kept.
    before = screen.value(rf"■ KV cache +({SIZE}) ")[1]
    assert before != "0 B"
    focus(screen, "i", "i: type the next prompt")
    screen.type("what is peak?\r")
    screen.wait_for("▸ what is peak?")
    assert reply_after(screen, "what is peak?")
    screen.wait_for("● idle")
    screen.press("n")
    screen.value(r"■ KV cache +0 B ")
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []


def test_a_limit_changes_in_the_middle_of_a_long_prefill(
    spawn: Spawn, measured: Measured, long_prompt: Callable[[int], Path]
) -> None:
    screen = spawn(
        "--prompt-file", long_prompt(3000), "--prefill-step-size", "512", "--max-tokens", "4", "--cache-limit", "20M"
    )  # fmt: skip
    screen.value(r"● prefill (512|1024)/3000")
    # A key that asks nothing of MLX is answered whatever MLX does.
    for units, key in (("MB", "u"), ("MiB", "u")):
        pressed = screen.press(key)
        seen = screen.wait_for(lambda text, units=units: re.search(rf"^ active +[\d.]+ {units} ", text, re.M))
        measured("a key to the screen, during a prefill", seen - pressed)
    pressed = screen.press("[")
    seen = screen.wait_for(lambda text: "→ 2.0 MiB" in text)
    measured("a limit key to 'pending', during a prefill", seen - pressed)
    assert screen.value(r"● (prefill|decode)")[1] == "prefill"
    done = screen.wait_for(lambda text: re.search(r"limits\s[\s\S]*cache +2\.0 MiB +(by )?keyboard", text))
    measured("a limit key to the new limit, during a prefill", done - pressed)
    # Carried out at the next safe point, long before the prompt is read.
    progress = screen.value(r"● prefill (\d+)/3000|● (decode|idle)")
    assert progress[1] is not None
    assert int(progress[1]) < 3000
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []


def failure(screen: Screen) -> str:
    """The sentence that a dashboard whose load failed says in its output; what to do stands in its status."""
    screen.wait_for("● failed")
    screen.wait_for("Press s to try again.")
    said = screen.value(r"^ ! (Could not load [\s\S]*?\.) *\n +\n")[1]
    return " ".join(said.split())


def lives(screen: Screen) -> None:
    """The dashboard answers, and leaves the terminal as it found it."""
    screen.press("?")
    screen.wait_for("Cache limit one step down")
    screen.press("escape")
    screen.wait_for(lambda text: "Cache limit one step down" not in text)
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []


def test_no_such_model(spawn: Spawn, tmp_path: Path) -> None:
    screen = spawn("--model", tmp_path / "nowhere", columns=NARROW)
    said = failure(screen)
    assert "nowhere" in said
    assert "no such directory" in said
    assert "Traceback" not in screen.text()
    lives(screen)


def test_a_broken_checkpoint_is_told_and_loads_once_repaired(
    spawn: Spawn, checkpoint: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "tiny"
    shutil.copytree(checkpoint, broken)
    whole = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(whole[:1000])
    screen = spawn("--model", broken, "--prompt", "the cache", "--max-tokens", "8", columns=NARROW)
    said = failure(screen)
    assert str(broken) in said
    assert "safetensors" in said
    # Once more, and still broken: the same sentence.
    screen.press("s")
    screen.wait_for(lambda text: text.count("! Could not load") == 2)
    failure(screen)
    (broken / "model.safetensors").write_bytes(whole)
    screen.press("s")
    screen.value(LAST)
    assert reply_after(screen, "the cache")
    assert "Press s to try again" not in screen.text()
    lives(screen)
