"""What a dashboard must look like, whatever it shows: for tests that ask whether anything is out of place."""

import re
from contextlib import suppress

from tests.e2e.screen import Screen

CHARTS = ("active", "cache", "peak", "speed")
SIZE = r"(?:-?\d+(?:\.\d+)? (?:[KMGT]i)?B|-?\d+(?:\.\d+)? [kMGT]B|—|unlimited)"
TOKENS_PER_SECOND = r"\d+\.\d tok/s"


def skeleton(screen: Screen) -> dict[str, tuple[int, int]]:
    """Where each fixed word of the dashboard stands: column, row. Fails where one is missing."""
    lines = screen.lines()
    found: dict[str, tuple[int, int]] = {}
    y = 1
    for name in (*CHARTS, "phase"):
        while not lines[y].startswith(f" {name} "):
            y += 1
            assert y < len(lines), f"no {name} chart\n{screen.dump()}"
        found[name] = (1, y)
    words = ["a column", "where it goes", "since “", "weights", "tokens  ", "limits", "i pro", "q quit"]
    for word in words:
        found[word] = screen.find(word)
    return found


def complaints(screen: Screen) -> list[str]:
    """What a person would find out of place on the dashboard as it stands."""
    lines, wrong = screen.lines(), []
    at = skeleton(screen)
    rows = [at[name][1] for name in (*CHARTS, "phase", "a column", "where it goes", "i pro")]
    if rows != sorted(rows):
        wrong.append(f"not in order from the top: {rows}")
    if at["i pro"][1] != len(lines) - 1 or at["q quit"][1] != len(lines) - 1:
        wrong.append("the keys are not on the last row")
    if not lines[0].startswith(" mlxtop "):
        wrong.append(f"no header: {lines[0]!r}")
    for name, unit in zip(CHARTS, (SIZE, SIZE, SIZE, r"(?:\d+\.\d /s|—)"), strict=True):
        row = lines[at[name][1]]
        if not re.match(rf" {name} +{unit} ", row):
            wrong.append(f"no value with a unit: {row!r}")
    table = "\n".join(lines[at["where it goes"][1] :])
    expected = {}
    for name in ("weights", "KV cache", r"other(?: active)?", r"(?:reusable )?cache", "beyond MLX"):
        expected[f"■ {name}"] = rf"[■█▓▒░·] {name} +{SIZE} +(?:\d+%|—) "
    for name in ("active", "cache", "peak", "total"):
        expected[f"since the mark: {name}"] = rf" {name} +{SIZE} +{SIZE} +[+-]?{SIZE}"
    wrong += [f"not in the panels: {what}" for what, row in expected.items() if not re.search(row, table)]
    if screen.overruns:
        wrong.append(f"rows that were too long: {screen.overruns[:3]}")
    return wrong


def settled(screen: Screen) -> None:
    """Waits until nothing is out of place: a picture may be looked at while it is being written."""

    def fine(_: str) -> bool:
        try:
            return not complaints(screen)
        except AssertionError:
            return False

    with suppress(AssertionError):
        screen.wait_for(fine)
    assert complaints(screen) == []


def focus(screen: Screen, key: str, text: str) -> None:
    """Presses a key and waits until the line with `text` looks as if the keyboard came or went, and until the
    row of keys says so: a cursor that blinks alone is no sign."""
    screen.wait_for(text)
    x, y = screen.find(text)
    before = screen.cell(x, y)
    screen.press(key)
    screen.wait_for(lambda _: screen.cell(x, y) != before, why=f"another look of {text}")
    if key in ("i", "escape"):
        screen.wait_for("enter send" if key == "i" else "? help")
