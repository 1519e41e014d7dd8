"""Text that wants more than to be read: it changes nothing but its own pane."""

import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Spawn
from tests.e2e.looks import focus, settled, skeleton
from tests.e2e.screen import Screen

pytestmark = pytest.mark.e2e

MARKUP = "[bold]loud[/bold] [/] [@click=app.quit]press[/] "
CONTROLS = "nul:\x00: bell:\x07: back:\x08\x08\x08: \x9b31m \x85 del:\x7f: "
ESCAPES = "plain \x1b[2J\x1b[3;3HPWNED\x1b]0;PWNED\x07\x1b[?1049l\x1bc "
HOSTILE = MARKUP + CONTROLS + ESCAPES
WIDE = "日本語のテキスト 🎉🎉 👩‍👩‍👧‍👦 ❤️ 🇯🇵 e\u0301\u0301\u0301 Z\u0351\u036b\u0343\u036a\u0302 שלום \u202egnp.exe\u202c ﷽ end"

# Every sequence that Textual has reason to write while it draws.
DRAWING = re.compile(rb"\x1b(?:\[[\d;]*[mH]|\[\?(?:25|2026)[hl]|\[>\d*u|\[<u|\[\?\d+\$p)")


@pytest.fixture
def chat(spawn: Spawn) -> Callable[..., Screen]:
    def start(*arguments: str | Path, columns: int = 80, rows: int = 24) -> Screen:
        screen = spawn("--workload", "chat", "--max-tokens", "24", *arguments, columns=columns, rows=rows)
        screen.wait_for("● idle")
        screen.wait_for("since “loaded”")
        # These words may come before the rest of the picture.
        settled(screen)
        return screen

    return start


def untouched(screen: Screen, before: dict[str, tuple[int, int]], sent: bytes, title: str) -> None:
    """Panels where they were, the window's name its own, and no sequence but those that draw."""
    settled(screen)
    # The last sequence may not have come in whole yet.
    sent = re.sub(rb"\x1b(?:\[[\d;?]*)?$", b"", sent)
    assert skeleton(screen) == before
    assert screen.title == title
    strange = {bytes(sent[m.start() : m.start() + 12]) for m in re.finditer(rb"\x1b", sent)} - {
        bytes(sent[m.start() : m.start() + 12]) for m in DRAWING.finditer(sent)
    }
    assert strange == set()
    assert not set(sent) & {0x00, 0x07, 0x08, 0x7F}
    assert "\x9b".encode() not in sent


@pytest.mark.parametrize("text", [MARKUP + CONTROLS, ESCAPES, WIDE], ids=["controls", "escapes", "wide"])
def test_a_pasted_prompt(chat: Callable[..., Screen], text: str) -> None:
    screen = chat(rows=28)
    before, title, drawn = skeleton(screen), screen.title, len(screen.raw)
    focus(screen, "i", "i: type the next prompt")
    screen.paste(text + "\n")
    # What is longer than the line has scrolled: enough that some of it stands there.
    screen.wait_for(lambda text: text.split("\n")[-2].strip() and "i: type" not in text, why="the paste")
    screen.press("enter")
    screen.value(r"last: 24 tokens")
    screen.wait_for("● idle")
    screen.wait_for("i: type the next prompt")
    if text is WIDE:
        # A terminal that shows the parts of an emoji one by one needs more room than the row has.
        screen.overruns.clear()
    untouched(screen, before, bytes(screen.raw[drawn:]), title)
    shown = {ESCAPES: "plain", WIDE: "▸ 日本語のテキスト 🎉🎉"}.get(text, "▸ " + MARKUP.rstrip())
    assert shown in re.sub(r"(?<=[\u3000-\U0001ffff]) ", " ", screen.text())
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []


def test_a_pasted_prompt_of_many_lines_is_whole(chat: Callable[..., Screen]) -> None:
    screen = chat(columns=120, rows=40)
    focus(screen, "i", "i: type the next prompt")
    screen.paste("first line\nsecond line\n")
    screen.wait_for("first line")
    screen.press("enter")
    screen.value(r"▸ first line .*\n +second line")


def test_a_prompt_from_a_file(spawn: Spawn, tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text(f"{HOSTILE}\n{WIDE}\r\n\tlast line", encoding="utf-8")
    screen = spawn("--prompt-file", path, "--max-tokens", "200", columns=120, rows=40)
    screen.wait_for("▸ [bold]loud")
    screen.wait_for("last line")
    drawn = len(screen.raw)
    screen.value(r"last: 200 tokens")
    screen.wait_for("● idle")
    # The demo murmurs in the prompt's bytes: escapes and halves of characters among them. Where a terminal
    # shows the parts of an emoji one by one, a row may need more room than it has.
    screen.overruns.clear()
    untouched(screen, skeleton(screen), bytes(screen.raw[drawn:]), screen.title)
    assert "PWNED" in screen.text()
    assert "␛[2J" in screen.text()
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []


def test_a_model_with_a_hostile_name(spawn: Spawn, tmp_path: Path) -> None:
    name = "[red]m\x1b[2Jo\x07日本[/red]"
    screen = spawn("--model", tmp_path / name, columns=80, rows=24)
    screen.wait_for("● failed")
    screen.wait_for("[red]m␛[2Jo␇")
    assert screen.lines()[0].rstrip().endswith(tuple("0123456789"))
    assert b"\x1b[2Jo" not in screen.raw
    screen.press("?")
    screen.wait_for("Cache limit one step down")
    screen.press("escape", "q")


NOISE = textwrap.dedent(
    """
    import os, threading, time

    def noise():
        while os.isatty(1):
            time.sleep(0.01)
        for number in range(10_000):
            os.write(1, f"to stdout {number}\\n".encode())
            os.write(2, f"\\x1b[2J\\x1b[31mto stderr {number}\\r\\n".encode())
            time.sleep(0.05)
            if os.isatty(1):
                return

    threading.Thread(target=noise, daemon=True).start()
    """
)


def test_noise_on_the_streams_goes_to_the_output_pane(spawn: Spawn, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NOISE)
    screen = spawn("--workload", "chat", env={"PYTHONPATH": str(tmp_path)})
    screen.wait_for("● idle")
    screen.wait_for("since “loaded”")
    before, drawn = skeleton(screen), len(screen.raw)
    screen.value(r"! to stdout [2-9]\d ")
    screen.value(r"! ␛\[2J␛\[31mto stderr \d+")
    untouched(screen, before, bytes(screen.raw[drawn:]), screen.title)
    screen.press("q")
    assert screen.exit() == 0
    assert screen.left() == []
    # As long as the picture stood, nothing came out beside it.
    picture, _, _ = bytes(screen.raw).rpartition(b"\x1b[?1049l")
    assert b"\x1b[31mto stderr" not in picture
