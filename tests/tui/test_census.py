"""The census on the screen: pictures at each size, and what its keys do."""

import time
from dataclasses import replace

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Static

from mlxtop.core.census import Census, Holding
from mlxtop.tui import theme
from mlxtop.tui.screens.census import CensusScreen
from tests.tui.painted import idle

MiB = 2**20
SIZES = [(80, 24), (120, 40), (200, 50)]
WEIGHTS = [
    Holding("weights", 1002 * MiB, (128256, 4096), "bfloat16", "Model: model.embed_tokens.weight"),
    *(
        Holding(
            "weights", 112 * MiB, (14336, 4096), "bfloat16", f"Model: model.layers.{i}.mlp.gate_proj.weight"
        )
        for i in range(32)
    ),
]
REST = [
    Holding("kv", 32 * MiB, (1, 8, 8192, 128), "bfloat16", "KVCache 3 of 32: keys"),
    Holding("optimizer", 16 * MiB, (1024, 4096), "float32", "Adam: state.model.layers.0.self_attn.q_proj.lora_a.m"),
    Holding("other", 8 * MiB, (2, 1024, 1024), "float32", "grads.model.layers.31.self_attn.q_proj.lora_a in train.py:88 step()"),
    Holding("other", 4, (), "uint32", "—"),
]  # fmt: skip
CENSUS = Census(
    active=5400 * MiB,
    parts={"weights": 4586 * MiB, "kv": 512 * MiB, "optimizer": 128 * MiB, "other": 90 * MiB, "garbage": 0},
    counts={"weights": 291, "kv": 64, "optimizer": 1, "other": 1042, "garbage": 0},
    holdings=tuple(WEIGHTS + REST),
    seconds=0.1234,
    time=1_700_000_000.0,
)


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Host(App[None]):
    """An application of one panel, in mlxtop's colours, for the census to open over."""

    BINDINGS = [("t", "light")]

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme.defaults(self.current_theme.dark)

    def compose(self) -> ComposeResult:
        yield Static("below")

    def on_mount(self) -> None:
        self.register_theme(theme.DARK)
        self.register_theme(theme.LIGHT)
        self.theme = theme.DARK.name

    def action_light(self) -> None:
        self.theme = theme.LIGHT.name


@pytest.fixture
def app():
    return Host()


async def open_census(pilot, census=CENSUS, again=lambda: None):
    screen = CensusScreen(census, "binary", again)
    await pilot.app.push_screen(screen)
    await idle(pilot)
    return screen


def shown(screen, name):
    return str(screen.query_one(name, Static).content)


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
def test_picture(snap_compare, app, size):
    assert snap_compare(app, terminal_size=size, run_before=open_census)


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
def test_light(snap_compare, app, size):
    async def act(pilot):
        await open_census(pilot)
        await pilot.press("t")
        await idle(pilot)

    assert snap_compare(app, terminal_size=size, run_before=act)


def test_more_than_active_and_out_of_time(snap_compare, app):
    async def act(pilot):
        await open_census(
            pilot,
            Census(4000 * MiB, CENSUS.parts, CENSUS.counts, CENSUS.holdings[-4:], False, 0.25, CENSUS.time),
        )

    assert snap_compare(app, terminal_size=(80, 24), run_before=act)


def test_what_is_folded_shared_left_and_not_computed(snap_compare, app):
    place = "Scheduler.requests[…].prompt_cache"
    holdings = (
        Holding("kv", 468 * MiB, (1, 8, 1024, 64), "float16", place, arrays=936, owners=117),
        Holding("weights", 448 * MiB, (14336, 4096), "bfloat16", "Model: layers[…].up_proj", arrays=32),
        Holding("other", 64 * MiB, (4096, 4096), "float32", "x in a.py", views=("y in a.py",), view_count=3),
        Holding("other", 4, (), "float32", "accumulated in train.py:9 step()", computed=False),
    )
    census = Census(
        active=2000 * MiB,
        parts={**dict.fromkeys(CENSUS.parts, 0), "weights": 448 * MiB, "kv": 468 * MiB, "other": 64 * MiB},
        counts={**dict.fromkeys(CENSUS.counts, 0), "weights": 32, "kv": 936, "other": 1},
        holdings=holdings,
        lazy=4,
        lazy_count=1,
        in_flight=12 * MiB,
        compiled=2,
        time=CENSUS.time,
    )

    async def act(pilot):
        await open_census(pilot, census)

    assert snap_compare(app, terminal_size=(80, 24), run_before=act)


async def test_a_narrow_screen_leaves_out_where_the_owner_is():
    kept = "errors[…] in a.py:68 main(): ValueError keeps f() alive"
    holdings = tuple(Holding("other", 4, (1,), "int8", name) for name in (kept, "x in a.py:68 main()"))
    for width, wanted in ((80, "errors[…]: ValueError keeps f() alive"), (120, kept)):
        async with Host().run_test(size=(width, 24)) as pilot:
            screen = await open_census(pilot, Census(active=8, holdings=holdings))
            first, second = shown(screen, "#table").splitlines()
            assert first.endswith(f"  {wanted}")
            assert second.endswith("  x in a.py:68 main()")


async def test_scrolling_shows_the_last_row(app):
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_census(pilot)
        await pilot.press("end")
        await idle(pilot)
        place = screen.query_one("#holdings")
        assert place.scroll_offset.y == place.max_scroll_y > 0
        assert len(shown(screen, "#table").splitlines()) == len(CENSUS.holdings)


async def test_again_asks_and_show_swaps(app):
    asked = []
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_census(pilot, again=lambda: asked.append(1))
        await pilot.press("a")
        assert asked == [1]
        screen.show(Census(active=0))
        await pilot.pause()
        assert "no arrays" in shown(screen, "#table")
        assert "accounted —" in shown(screen, "#parts")
        assert "not computed" not in shown(screen, "#parts")
        screen.show(Census(active=0, lazy=3 * MiB, lazy_count=2))
        await pilot.pause()
        assert "not computed    3.0 MiB" in shown(screen, "#parts")
        assert "accounted —" in shown(screen, "#parts")


async def test_a_key_closes_it(app):
    async with app.run_test(size=(80, 24)) as pilot:
        await open_census(pilot)
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(pilot.app.screen, CensusScreen)


def later(*holdings):
    """A census a minute after `CENSUS`, with `holdings` in place of its smallest."""
    parts = {**CENSUS.parts, "other": 90 * MiB + sum(h.nbytes for h in holdings)}
    return replace(
        CENSUS, active=5500 * MiB, parts=parts, holdings=tuple(WEIGHTS) + holdings, time=CENSUS.time + 61
    )


KEYS = Holding("kv", 40 * MiB, (1, 8, 10240, 128), "bfloat16", "KVCache 3 of 32: keys")
HELD = Holding("other", 96 * MiB, (512, 1024), "float32", "held[…] in serve.py", arrays=48)
LOSS = Holding("other", 4, (), "float32", "loss in train.py:91 step()", computed=False)


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
def test_changes(snap_compare, app, size):
    async def act(pilot):
        screen = await open_census(pilot)
        await pilot.press("w")
        screen.show(later(KEYS, HELD, LOSS))
        await idle(pilot)

    assert snap_compare(app, terminal_size=size, run_before=act)


async def test_w_compares_the_next_census_with_this_one_and_a_lists_it(app):
    asked = []
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_census(pilot, again=lambda: asked.append(1))
        await pilot.press("w")
        screen.show(later(KEYS))
        assert "since the census 1m1s before" in shown(screen, "#parts")
        assert "grew" in shown(screen, "#table")
        await pilot.press("w")
        screen.show(later(KEYS, HELD))
        assert "appeared" in shown(screen, "#table")
        assert "KVCache" not in shown(screen, "#table")
        await pilot.press("w")
        screen.show(later(KEYS, HELD))
        assert "nothing that a census lists appeared or vanished" in shown(screen, "#table")
        # Asked for by w, and then by a, it is listed.
        await pilot.press("w", "a")
        screen.show(later(KEYS))
        assert "accounted" in shown(screen, "#parts")
        assert len(asked) == 5


async def test_hostile_names_are_text(app):
    name = "[bold]x[/]\x1b[2J\n\u202e漢字" * 20
    holding = Holding("other", 1, (1,) * 40, "\x1b]0;t\x07" * 9, name)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_census(pilot, Census(active=1, holdings=(holding,)))
        table = shown(screen, "#table")
        assert len(table.splitlines()) == 1
        assert "\x1b" not in table
        assert "\u202e" not in table
        assert "[bold" in table
        assert screen.query_one("#table", Static).size.height == 1
