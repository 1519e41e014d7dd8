"""Every key of the dashboard, pressed in one running demo as a person would."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mlxtop.core.units import parse_size
from tests.e2e.conftest import Measured, Spawn
from tests.e2e.looks import CHARTS, SIZE, focus, settled, skeleton
from tests.e2e.screen import Screen

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def running(pictures: Path) -> Iterator[Screen]:
    env = {"HOME": str(pictures), "XDG_PICTURES_DIR": str(pictures / "Pictures")}
    with Screen("--cache-limit", "20M", columns=120, rows=40, env=env) as screen:
        screen.value(r"● decode \d+/\d+ +\d+\.\d tok/s")
        screen.wait_for("since “loaded”")
        # Away from the first seconds, whose marks would stand where a test looks for its own.
        screen.wait_for("▸ a prompt of 192 tokens")
        yield screen
        screen.press("q")
        assert screen.exit() == 0
        assert screen.left() == []


@pytest.fixture
def unharmed(running: Screen) -> Iterator[Screen]:
    """The running demo; whatever a test does to it must have left it whole."""
    yield running
    if running.process.poll() is None:
        # What a test closed last may still be half drawn.
        with suppress(AssertionError):
            running.wait_for(alone, 5)
        # A failed test may have left something open over it.
        if not alone(running.text()):
            running.press("escape")
            running.wait_for(alone, why="the dashboard alone")
            # A letter right after an escape would be that letter with Alt.
            time.sleep(1)
        if "⏸" in running.text():
            running.press("end")
            running.wait_for(lambda text: "⏸" not in text)
        settled(running)


@pytest.fixture
def demo(unharmed: Screen) -> Screen:
    """The same, whose model generates."""
    be(unharmed, idle=False)
    return unharmed


@pytest.fixture
def resting(unharmed: Screen) -> Screen:
    """The same, whose model is at rest: for keys to which that is all one."""
    be(unharmed, idle=True)
    return unharmed


def be(screen: Screen, idle: bool) -> None:
    if ("● idle" in screen.text()) != idle:
        screen.press("s")
        screen.wait_for(lambda text: ("● idle" in text) == idle)


def alone(text: str) -> bool:
    """Whether nothing stands over the dashboard."""
    return "╭" not in text and "? help" in text and "where it goes" in text


def size(text: str) -> int:
    found = parse_size(text)
    assert isinstance(found, int)
    return found


def cache_limit(screen: Screen) -> tuple[str, str]:
    """The limits panel's value of the cache limit, and who set it."""
    found = screen.value(rf" cache +({SIZE}) +(?:by )?(default|flag|keyboard) *\n")
    return found[1], found[2]


def tokens_now(screen: Screen) -> int:
    return int(screen.value(r" tokens +[\d,]+ +([\d,]+) ")[1].replace(",", ""))


def chart_rows(screen: Screen) -> list[str]:
    at = skeleton(screen)
    return screen.lines()[at["active"][1] : at["where it goes"][1] + 6]


@contextmanager
def dialog(screen: Screen, key: str, title: str) -> Iterator[None]:
    screen.press(key)
    screen.wait_for(title)
    yield
    screen.wait_for(lambda text: title not in text, why=f"{title} to be gone")


def test_the_limit_of_a_flag_says_so(demo: Screen) -> None:
    assert cache_limit(demo) == ("20.0 MiB", "flag")


def test_limit_down_is_seen_in_every_place(demo: Screen, measured: Measured) -> None:
    pressed = demo.press("[")
    demo.wait_for(lambda text: "20.0 MiB → 2.0 MiB" in text)
    measured("a limit key to the screen, while decoding", demo.read_at - pressed)
    demo.value(r" cache +2\.0 MiB +(?:by )?keyboard")
    # The effect: before and after side by side, the chart's limit, and the cache itself below it.
    demo.value(r"cache limit 20\.0 MiB → 2\.0 MiB by keyboard · tokens/s before \d+\.\d, after \d+\.\d")
    demo.wait_for("limit 2 MiB")
    demo.value(r"▼")
    seen = demo.value(rf"^ cache +({SIZE}) (?:[^\n]*\n){{2}} +limit 2 MiB")
    assert size(seen[1]) <= 2 * 2**20
    demo.press("[")
    demo.value(r" cache +0 B +(?:by )?keyboard")
    demo.value(r"^ cache +0 B ")
    demo.press("[")  # The ladder ends here.
    demo.press("]", "]")
    demo.value(r" cache +20\.0 MiB +(?:by )?keyboard")
    demo.wait_for("▲")


def test_limit_back_to_the_default(demo: Screen) -> None:
    with dialog(demo, "l", "cache limit (now"):
        default = demo.value(rf"MLX's default ({SIZE})\):")[1]
        demo.press("escape")
    demo.press("d")
    demo.value(rf" cache +{re.escape(default)} +(?:by )?keyboard")


def test_an_exact_limit(demo: Screen) -> None:
    with dialog(demo, "l", "cache limit (now"):
        demo.type("plenty\r")
        # The whole sentence, however many rows it takes.
        demo.wait_for("'plenty' is not a size: write 0, 20M, 1.5GiB, 500MB,")
        demo.wait_for("unlimited.")
        demo.press("ctrl+u")
        demo.wait_for(lambda text: text.count("plenty") == 1, why="an empty line")
        demo.type("5M\r")
    demo.value(r" cache +5\.0 MiB +(?:by )?keyboard")
    with dialog(demo, "l", "Enter sets the limit"):
        demo.press("tab")
        demo.wait_for("memory limit (now")
        demo.press("tab")
        demo.wait_for("wired limit (now")
        demo.press("shift+tab")
        demo.wait_for("memory limit (now")
        demo.type("7GiB\r")
    demo.value(r" memory +7\.00 GiB +(?:by )?keyboard")
    with dialog(demo, "l", "cache limit (now"):
        demo.press("escape")


def test_marks(demo: Screen) -> None:
    demo.press("m")
    demo.wait_for("since “mark 1”")
    demo.value(r" tokens +([\d,]+) +([\d,]+) +\+[1-9]\d* ")
    demo.value(rf" total +{SIZE} +{SIZE} +[+-]?{SIZE}")
    # A rate per minute says nothing before there was a minute.
    demo.value(r" tokens +[\d,]+ +[\d,]+ +\+[\d,]+ +— ")
    with dialog(demo, "M", "Measure from which mark?"):
        demo.value(r"\d:\d\d:\d\d  start(?s:.*)\d:\d\d:\d\d  loaded(?s:.*)\d:\d\d:\d\d  mark 1")
        demo.press("up", "enter")
    demo.wait_for("since “loaded”")
    with dialog(demo, "M", "Measure from which mark?"):
        focus(demo, "tab", "or name a new mark")
        demo.type("rain\r")
    demo.wait_for("since “rain”")
    demo.wait_for("mark “rain”")


def test_clear_and_reset(demo: Screen) -> None:
    # At rest: the longest prompt would bring a peak back before it was seen to be gone.
    demo.press("s")
    demo.wait_for("● idle")
    demo.press("c")
    demo.value(rf"cache cleared by keyboard, {SIZE} returned")
    demo.press("r")
    before = demo.value(rf"peak reset by keyboard, it was ({SIZE})")[1]
    run = demo.value(rf"^ peak +({SIZE}) (?:[^\n]*\n){{2}} +run ({SIZE}) ")
    assert size(run[2]) >= size(before) > 0
    assert size(run[1]) < size(run[2])
    axis = demo.row(skeleton(demo)["phase"][1])
    assert "✕" in axis or "↺" in axis, axis
    demo.press("s")
    demo.value(r"● (prefill|decode) ")


def test_units(resting: Screen) -> None:
    resting.press("u")
    resting.wait_for(lambda text: " MB" in text and "MiB" not in "\n".join(text.split("\n")[1:25]))
    resting.press("u")
    resting.wait_for(
        lambda text: " MiB" in text and not re.search(r"\d MB", "\n".join(text.split("\n")[1:25]))
    )


def test_pause_holds_the_picture_only(demo: Screen) -> None:
    # Wide columns: what comes after the pause belongs to no column shown, not even to the last.
    demo.press("-", "-", "-")
    demo.wait_for("5s a column")
    try:
        demo.press("space")
        demo.wait_for("⏸ paused")
        # The model goes on: its output moves again and again, and not one value does.
        seen = []
        for _ in range(5):
            output = demo.lines()[27:37]
            demo.wait_for(
                lambda text, output=output: text.split("\n")[27:37] != output, why="output that goes on"
            )
            seen.append([demo.row(0)[:90], *chart_rows(demo)])
        # The first may have been read while the picture was still being written.
        assert seen[1] == seen[2] == seen[3] == seen[4]
        assert not re.search(r"-\d+:\d\d:\d\d", demo.text()), "there is no time before the start"
        tokens = tokens_now(demo)
        demo.press("space")
        demo.wait_for(lambda text: "⏸" not in text)
        # Sampling went on.
        demo.wait_for(lambda _: tokens_now(demo) > tokens, why="more tokens")
    finally:
        demo.press("+", "+", "+")
        demo.wait_for("0.5s a column")


def test_zoom(resting: Screen) -> None:
    resting.wait_for("0.5s a column")
    resting.press("-")
    resting.wait_for("1s a column")
    resting.press("-")
    resting.wait_for("2s a column")
    resting.press("+", "=")
    resting.wait_for("0.5s a column")


def test_pan_and_follow(resting: Screen) -> None:
    resting.value(r"a column .* now *\n")
    resting.press("left")
    resting.value(r"a column .* 0:\d\d:\d\d *\n")
    resting.press("end")
    resting.value(r"a column .* now *\n")
    resting.press("left")
    resting.value(r"a column .* 0:\d\d:\d\d *\n")
    resting.press("right", "right")
    resting.value(r"a column .* now *\n")


def test_theme(resting: Screen) -> None:
    x, y = resting.find("where it goes")
    dark = resting.cell(x, y).bg
    resting.press("t")
    resting.wait_for(lambda _: resting.cell(x, y).bg != dark, why="another background")
    light = resting.cell(x, y)
    assert int(light.bg[:2], 16) > 200 > 100 > int(light.fg[:2], 16)
    resting.wait_for(lambda _: resting.unreadable() == "", why="all to be readable")
    resting.wait_for(
        lambda _: {resting.cell(1, row).bg for row in range(1, 17)} == {light.bg},
        why="charts of the new theme",
    )
    resting.press("t")
    resting.wait_for(lambda _: resting.cell(x, y).bg == dark, why="the dark background again")


def test_limits_are_compared_beside_the_output_and_in_full(demo: Screen) -> None:
    # A second limit, whatever was tried before.
    demo.press("[")
    demo.wait_for("change of speed")
    demo.press("v")
    demo.wait_for("A piece of work is one generation")
    demo.wait_for(lambda _: " cache limits " in demo.lines()[0], why="the table on top")
    demo.value(r"▸ +" + SIZE)
    demo.press("escape")
    demo.wait_for(alone)


def test_help_lists_every_key(resting: Screen) -> None:
    resting.press("?")
    for line in (
        "Cache limit one step down",
        "Clear MLX's cache", "Reset MLX's peak", "Set a mark now", "Choose a mark", "Pause the display",
        "More time per column", "Type the next prompt", "Stop generating", "Save a screenshot", "Switch between dark",
        "Switch between MiB", "Find a command by name", "Quit",
    ):  # fmt: skip
        resting.wait_for(line)
    resting.press("end")
    resting.wait_for("before and after")
    resting.wait_for("all memory that MLX holds")
    resting.press("?")
    resting.wait_for(alone)


def test_command_palette_runs_a_command(resting: Screen) -> None:
    resting.press("ctrl+p")
    resting.wait_for("Search")
    resting.type("zoom out")
    resting.wait_for("More time per column")
    resting.press("enter")
    resting.wait_for("1s a column")
    resting.press("+")
    resting.wait_for("0.5s a column")


def test_the_large_graph(resting: Screen) -> None:
    resting.press("g")
    resting.wait_for(lambda text: re.search("[⠁-⣿]{3}", text) and "0 B┤" in text, why="a chart in braille")
    for name in CHARTS[:3]:
        resting.value(rf"{name} +({SIZE})")
    resting.value(r" (-\d+s) ")
    resting.press("g")
    resting.wait_for("where it goes")


def test_a_picture_is_saved(resting: Screen, pictures: Path) -> None:
    resting.press("p")
    resting.wait_for(lambda _: any(pictures.rglob("*.svg")), why="a picture in the folder")
    resting.wait_for("Saved")
    (picture,) = pictures.rglob("*.svg")
    assert "mlxtop" in picture.read_text(encoding="utf-8")
    # The note goes by itself, and takes nothing with it.
    resting.wait_for(lambda text: "Saved" not in text)


def test_the_mouse(resting: Screen) -> None:
    x, y = resting.find("space pause")
    resting.click(x + 7, y)
    resting.wait_for("⏸ paused")
    resting.click(x + 7, y)
    resting.wait_for(lambda text: "⏸" not in text)
    # The wheel goes back in the output, and forward again.
    last = resting.value(r"▸ a prompt of (\d+) tokens(?![\s\S]*▸)")[0]
    for _ in range(12):
        resting.scroll(10, 33, -1)
    resting.wait_for(lambda text: last not in text, why=f"an output without its end, {last}")
    for _ in range(60):
        resting.scroll(10, 33, 1)
    resting.value(r"▸ a prompt of (\d+) tokens(?![\s\S]*▸)")


def test_stop_and_start(demo: Screen) -> None:
    demo.press("s")
    demo.wait_for("● idle")
    demo.press("s")
    demo.value(r"● (prefill|decode)")


def test_a_typed_prompt(resting: Screen) -> None:
    focus(resting, "i", "i: type the next prompt")
    resting.type("quiet, please [q]")
    resting.wait_for("quiet, please [q]")
    resting.press("enter")
    resting.wait_for("▸ quiet, please [q]")
    # Back on the dashboard, keys are keys again.
    focus(resting, "i", "i: type the next prompt")
    resting.type("never sent")
    resting.wait_for("never sent")
    focus(resting, "escape", "never sent")
    resting.press("-")
    resting.wait_for("1s a column")
    resting.press("+")
    resting.wait_for("0.5s a column")
    focus(resting, "i", "never sent")
    resting.press("ctrl+u")
    resting.wait_for(lambda text: "never sent" not in text)
    focus(resting, "escape", "i: type the next prompt")


def test_typing_ahead_goes_into_the_prompt(spawn: Spawn) -> None:
    """Over a slow line keys come in a bunch: what follows `i` is text, whatever it would mean as a key."""
    screen = spawn("--workload", "chat")
    screen.wait_for("● idle")
    screen.send("iclear space, quit\r")
    screen.wait_for("▸ clear space, quit")
