"""The screen of two runs: pictures at each size, and what its keys do."""

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from mlxtop.core.errors import UsageError
from mlxtop.diff.axis import aligned
from mlxtop.diff.read import read, sampled
from mlxtop.tui.app import MlxtopApp
from mlxtop.tui.screens.diff import DiffScreen
from tests.diff.conftest import runs as runs
from tests.diff.made import compared
from tests.tui.painted import idle

SIZES = [(80, 24), (120, 40), (200, 50)]


def application(a: Path, b: Path, mark: str | None = None) -> MlxtopApp:
    sides = [aligned(letter, sampled(read(path)), mark) for letter, path in (("A", a), ("B", b))]
    return MlxtopApp(first=DiffScreen(compared(a, b), sides, mark or "start"))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_picture(snap_compare: Any, runs: Path, size: tuple[int, int]) -> None:
    app = application(runs / "unchanged.mlxtop", runs / "leak.mlxtop")
    assert snap_compare(app, terminal_size=size, run_before=idle)


def test_light_zoomed_and_aligned_at_a_phase(snap_compare: Any, runs: Path) -> None:
    async def act(pilot: Pilot[None]) -> None:
        await pilot.press("t", "tab", "plus")
        await idle(pilot)

    app = application(runs / "unchanged.jsonl", runs / "slower_decode.mlxtop", "decode")
    assert snap_compare(app, terminal_size=(120, 40), run_before=act)


async def test_keys(runs: Path) -> None:
    app = application(runs / "unchanged.mlxtop", runs / "leak.mlxtop")
    async with app.run_test(size=(80, 24)) as pilot:
        await idle(pilot)
        chart = app.screen.query_one("#chart", Static)

        async def shown(*keys: str) -> str:
            await pilot.press(*keys)
            await idle(pilot)
            return str(chart.content)

        whole = await shown()
        assert await shown("tab") != whole
        assert await shown("shift+tab") == whole
        near = await shown("plus")
        assert near != whole
        assert await shown("left") != near
        assert await shown("home") == whole
        # There is no more than all.
        assert await shown("minus", "right", "left") == whole
        table = app.screen.query_one("#table")
        await pilot.press("down", "down")
        await idle(pilot)
        assert table.scroll_y == 2


def test_what_cannot_be_aligned_is_told(runs: Path) -> None:
    with pytest.raises(UsageError, match=r"A has no mark or phase 'warm' to align at: it has load, "):
        aligned("A", sampled(read(runs / "unchanged.mlxtop")), "warm")
