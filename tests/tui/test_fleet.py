"""The fleet's screen: what it looks like, what a key does, who stands out, and that old columns are kept right."""

import random

import pytest
from textual.app import App
from textual.events import MouseScrollDown

from mlxtop.core.facts import Facts
from mlxtop.core.history import History
from mlxtop.core.machine import System
from mlxtop.core.room import Room
from mlxtop.core.sample import Sample
from mlxtop.tui import app as tui_app
from mlxtop.tui import theme
from mlxtop.tui.charts.series_cache import SeriesCache, add
from mlxtop.tui.fleet_frame import Candidate, find_outlier, growth, together
from mlxtop.tui.heights import ROOM_FOR_OUTPUT, heights
from mlxtop.tui.panels.session_row import gutter, squeeze, stack, table
from mlxtop.tui.screens.fleet import UNSEEN_FRAMES, FleetScreen
from tests.tui.fleet import MIB, RecordedFleet, RecordedMember
from tests.tui.painted import painted

STRIP, SMALL, MEDIUM, LARGE = (40, 12), (80, 24), (120, 40), (200, 50)
NAME = {STRIP: "40x12", SMALL: "80x24", MEDIUM: "120x40", LARGE: "200x50"}


class FleetApp(App[None]):
    """What `MlxtopApp` does for its screens, for this one alone."""

    CSS_PATH = tui_app.__file__.replace("app.py", "mlxtop.tcss")

    def __init__(self, fleet: RecordedFleet, dark: bool = True) -> None:
        super().__init__()
        self.shown = FleetScreen(fleet)
        self.opened: list[int] = []
        self._dark = dark

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme.defaults(self.current_theme.dark)

    def on_mount(self) -> None:
        self.register_theme(theme.DARK)
        self.register_theme(theme.LIGHT)
        self.theme = (theme.DARK if self._dark else theme.LIGHT).name
        self.push_screen(self.shown)

    def on_fleet_screen_opened(self, event: FleetScreen.Opened) -> None:
        self.opened.append(event.pid)


def pressing(*keys):
    async def act(pilot):
        await painted(pilot)
        await pilot.press(*keys)
        await painted(pilot)

    return act


def with_outlier(fleet: RecordedFleet) -> RecordedFleet:
    fleet.list[2] = RecordedMember(2, late=1.4, scale=2.6)
    return fleet


# What it looks like


@pytest.mark.parametrize("size", [STRIP, SMALL, MEDIUM, LARGE], ids=NAME.get)
@pytest.mark.parametrize("members", [0, 1, 2, 4, 12, 64])
@pytest.mark.slow
def test_members(snap_compare, members, size):
    assert snap_compare(FleetApp(RecordedFleet(members)), terminal_size=size, run_before=painted)


@pytest.mark.parametrize("size", [STRIP, SMALL, MEDIUM], ids=NAME.get)
def test_what_the_program_prints(snap_compare, size):
    fleet = with_outlier(RecordedFleet(4, prints=True))
    assert snap_compare(FleetApp(fleet), terminal_size=size, run_before=painted)


def test_waiting_for_mlx(snap_compare):
    fleet = RecordedFleet(0, unattached=2, prints=True)
    assert snap_compare(FleetApp(fleet), terminal_size=SMALL, run_before=painted)


@pytest.mark.parametrize("size", [STRIP, SMALL, MEDIUM], ids=NAME.get)
def test_unattached_and_ended(snap_compare, size):
    fleet = RecordedFleet(4, unattached=9)
    fleet.list[1].ended = "killed by signal 9"
    assert snap_compare(FleetApp(fleet), terminal_size=size, run_before=pressing("end"))


def test_light(snap_compare):
    fleet = with_outlier(RecordedFleet(12, unattached=1))
    assert snap_compare(FleetApp(fleet, dark=False), terminal_size=MEDIUM, run_before=painted)


def test_no_colour(snap_compare, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(FleetApp(RecordedFleet(4)), terminal_size=SMALL, run_before=painted)


def test_paused_panned_and_zoomed_out(snap_compare):
    act = pressing("down", "minus", "left", "space", "u")
    assert snap_compare(FleetApp(RecordedFleet(4)), terminal_size=SMALL, run_before=act)


@pytest.mark.parametrize("size", [STRIP, SMALL, MEDIUM], ids=NAME.get)
def test_hostile_names(snap_compare, size):
    fleet = with_outlier(RecordedFleet(4, unattached=1, prints=True))
    fleet.title = "[bold]\x1b[2J" + "漢字" * 40
    fleet.word = "\x1b]0;t\x07" * 30
    fleet.list[0].label = "漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字"
    fleet.list[0].title = "/a/very/long/" + "path/" * 40 + "[red]模型\x00\u202etrain.py"
    fleet.list[1].ended = "\x1b[31m" + "because " * 30
    fleet.list[2].label = "[b]\nrank\t2"
    fleet.list[2].state.phase = "\x1b[2J漢字漢字漢字漢字"
    fleet.others[0] = fleet.others[0]._replace(command="\x07" * 3000)
    assert snap_compare(FleetApp(fleet), terminal_size=size, run_before=painted)


# What a key does


@pytest.mark.slow
async def test_choosing_and_opening():
    app = FleetApp(RecordedFleet(64, unattached=2))
    async with app.run_test(size=(120, 30)) as pilot:
        await painted(pilot)
        for keys, pid in (
            ([], 4000),
            (["down", "j"], 4002),
            (["end", "up"], 9000),
            (["end", "k", "k"], 4063),
            (["pagedown"], 4020),
            (["pagedown", "pageup"], 4000),
            (["end", "home"], 4000),
            (["up"], 4000),
        ):
            app.opened.clear()
            await pilot.press(*keys, "enter")
            await pilot.pause()
            assert app.opened == [pid], keys
            await pilot.press("home")


async def test_the_chosen_one_is_to_be_seen():
    app = FleetApp(RecordedFleet(64))
    async with app.run_test(size=SMALL) as pilot:
        await painted(pilot)
        session_list = app.shown.query_one("#session-list")
        for key in ("end", "up", "pageup", "pageup", "pageup", "pagedown", "home", "down"):
            await pilot.press(key)
            chosen, seen = app.shown.frame().selected - 4000, session_list.size.height - 1
            assert session_list.first <= chosen < session_list.first + seen
            assert 0 <= session_list.first <= 64 - seen
        assert session_list.first == 0


async def test_clicks_and_the_wheel():
    app = FleetApp(RecordedFleet(4, unattached=1))
    async with app.run_test(size=SMALL) as pilot:
        await painted(pilot)
        rows = app.shown.frame().row_height
        await pilot.click("#session-list", offset=(5, 2 + rows))
        assert app.shown.frame().selected == 4001
        await pilot.click("#session-list", offset=(5, 0))
        assert app.shown.frame().selected == 4001
        await pilot.click("#unattached", offset=(5, 1), times=2)
        await pilot.pause()
        assert app.opened == [9000]
        await pilot.press("home")
        session_list = app.shown.query_one("#session-list")
        session_list.post_message(MouseScrollDown(session_list, 30, 1, 0, 1, 0, False, False, False))
        await pilot.pause()
        assert app.shown.frame().selected == 4001


async def test_what_is_chosen_stays_chosen_when_others_come_and_go():
    fleet = RecordedFleet(4)
    app = FleetApp(fleet)
    async with app.run_test(size=SMALL) as pilot:
        await painted(pilot)
        await pilot.press("down", "down")
        del fleet.list[0]
        assert app.shown.frame().selected == 4002
        del fleet.list[1]
        assert app.shown.frame().selected == 4003
        fleet.list.clear()
        assert app.shown.frame().selected is None
        await pilot.press("enter", "down", "space", "left", "minus")
        assert app.opened == []


async def test_one_process_id_on_two_machines():
    fleet = RecordedFleet(3)
    fleet.list[1].pid = fleet.list[0].pid
    app = FleetApp(fleet)
    async with app.run_test(size=SMALL) as pilot:
        await painted(pilot)
        totals = [lane.totals for lane in app.shown.frame().rows]
        assert totals[0] != totals[1]
        await pilot.press("down", "down")
        assert app.shown.frame().selected == 4002


async def test_typing_into_the_program():
    fleet = RecordedFleet(2, prints=True)
    app = FleetApp(fleet)
    async with app.run_test(size=SMALL) as pilot:
        await painted(pilot)
        await pilot.press("i", *"jku", "enter")
        assert fleet.said == ["jku"]
        assert app.focused is None
        await pilot.press("i", "escape", "down")
        assert app.shown.frame().selected == 4001
        assert app.opened == []


async def test_without_output_there_is_nothing_to_type_into():
    app = FleetApp(RecordedFleet(2))
    async with app.run_test(size=SMALL) as pilot:
        await painted(pilot)
        await pilot.press("i")
        assert app.focused is None


async def test_zoom_pan_and_pause():
    fleet = RecordedFleet(2)
    app = FleetApp(fleet)
    async with app.run_test(size=SMALL) as pilot:
        await painted(pilot)
        await pilot.press("minus")
        assert app.shown.view.axis.width == 1.0
        await pilot.press(*["plus"] * 9)
        assert app.shown.view.axis.width == 0.1, "never narrower than the sampling interval"
        await pilot.press("left")
        assert app.shown.view.axis.end < 26
        await pilot.press("right", "right")
        assert app.shown.view.axis.end is None
        await pilot.press("space")
        before = app.shown.frame()
        for member in fleet.list:
            member.pass_time(3, active=1, cache=1, total=2)
        assert app.shown.frame().rows == before.rows
        await pilot.press("space")
        assert app.shown.frame().sum.total == 4


def test_every_key_has_its_words():
    for binding in FleetScreen.BINDINGS:
        assert binding.tooltip
        assert binding.description


# What is shown


async def test_members_share_one_time():
    fleet = RecordedFleet(0)
    fleet.list = [RecordedMember(0), RecordedMember(1, late=10.0)]
    app = FleetApp(fleet)
    async with app.run_test(size=MEDIUM) as pilot:
        await painted(pilot)
        early, late = (lane.totals for lane in app.shown.frame().rows)
        began = [next(i for i, v in enumerate(each) if v >= 0) for each in (early, late)]
        assert began[1] - began[0] == 20, "half a second a column"
        assert early[-1] >= 0
        assert late[-1] >= 0


@pytest.mark.slow
async def test_members_off_the_screen_are_asked_less_and_read_in_turns():
    fleet = RecordedFleet(64)
    asked: list[set[int]] = []
    fleet.look_at = asked.append
    app = FleetApp(fleet)
    async with app.run_test(size=SMALL) as pilot:
        await painted(pilot)
        session_list = app.shown.query_one("#session-list")
        count = session_list.size.height - 1
        assert asked[-1] == set(range(4000, 4000 + count))
        await pilot.press("end")
        assert asked[-1] == set(range(4064 - count, 4064))
        # One is seen at once; all others within so many frames, and none of them in every frame.
        for member in fleet.list:
            member.pass_time(1, active=7 * MIB)
        fresh = [sum(row.active == 7 * MIB for row in app.shown.frame().rows) for _ in range(UNSEEN_FRAMES)]
        assert count <= fresh[0] < 64
        assert fresh[-1] == 64
        assert app.shown.frame().sum.active == 64 * 7 * MIB


async def test_the_sum_is_of_those_that_run():
    fleet = RecordedFleet(3)
    app = FleetApp(fleet)
    async with app.run_test(size=MEDIUM) as pilot:
        await painted(pilot)
        fleet.list[1].ended = "exit status 1"
        frame = app.shown.frame()
        assert frame.sum.active == frame.rows[0].active + frame.rows[2].active
        assert frame.sum.peak is None
        fleet.list[0].pass_time(1, footprint=-1)
        assert app.shown.frame().sum.footprint is None, "a sum with an unknown part is unknown"


def judged(*totals, growths=()):
    growths = growths or [None] * len(totals)
    pairs = zip(totals, growths, strict=True)
    return find_outlier([Candidate(i, f"rank {i}", t, g) for i, (t, g) in enumerate(pairs)])


def test_who_stands_out():
    found = judged(1200 * MIB, 1210 * MIB, 3100 * MIB, 1190 * MIB)
    assert (found.pid, found.above, found.others) == (2, True, 1200 * MIB)
    assert found.describe("binary") == "rank 2 holds up to 3.03 GiB; the median of the others is 1.17 GiB"
    assert judged(100 * MIB, 100 * MIB, 2 * MIB).above is False


@pytest.mark.parametrize(
    "totals",
    [
        [],
        [MIB, 90 * MIB],
        [100 * MIB] * 5,
        [100 * MIB, 100 * MIB, 115 * MIB],
        [1000, 1000, 900_000],
        [100 * MIB, 200 * MIB, 310 * MIB],
        [10 * MIB * i for i in range(1, 65)],
    ],
    ids=["none", "two", "alike", "under-a-fifth", "under-a-mebibyte", "spread", "even"],
)
def test_nobody_stands_out(totals):
    assert judged(*totals) is None


def test_who_grows():
    found = judged(*[100 * MIB] * 4, growths=[0, None, 60 * MIB, 0])
    assert found is None or found.pid == 2
    found = judged(*[100 * MIB] * 4, growths=[0, MIB, 60 * MIB, 0])
    assert (found.pid, found.grows) == (2, True)
    assert (
        found.describe("binary") == "rank 2 changes by +60.0 MiB per minute; the median of the others is 0 B"
    )


def test_growth_is_that_of_the_floor():
    member = RecordedMember(0, until=0.0)
    for tenth in range(700):
        time = tenth / 10
        wave = 50 * MIB * (tenth % 40 > 3)
        member.history.add(Sample(time, 0, 0, 0, 200 * MIB + wave + round(MIB * (time // 10))))
        if time == 20.0:
            assert growth(member, time) is None
    assert growth(member, 69.9) == 6 * MIB


# Columns kept from frame to frame


@pytest.mark.parametrize("width", [0.1, 0.5, 1.0, 2.0, 10.0])
def test_kept_columns_are_as_if_asked_for_anew(width):
    rng = random.Random(7)
    history = History(0.1)
    trace = SeriesCache(history, 3.37)
    now, count = 0.0, 30
    for frame in range(400):
        for _ in range(rng.choice((0, 3, 5, 5, 30))):
            now += rng.choice((0.1, 0.1, 0.1, 1.7))
            total = rng.randrange(1000)
            history.add(Sample(now, total // 2, total - total // 2, 0, total))
        if frame % 50 == 49:
            count = rng.choice((20, 30, 45))
        shown = now + 3.37 + rng.random()
        first = int(shown / width) - count + 1 - rng.choice((0, 0, 0, 12))
        trace.update(first, count, width, shown)
        anew = history.columns(first * width - 3.37, width, count, ("active", "total"), (), shown - 3.37)
        assert trace.total == anew.hi["total"]
        assert trace.active == anew.hi["active"]


def test_a_series_that_is_not_read_repeats_its_newest_value():
    history = History(0.1)
    for turn in range(100):
        history.add(Sample(turn * 0.1, turn, 1, 0, turn + 1))
    trace = SeriesCache(history, 0.0)
    trace.update(0, 20, 0.5, 10.0)
    known = trace.total
    assert trace.hold(2, 20, 0.5)
    assert trace.total == [*known[2:], 100, 100]
    assert trace.active == [value - 1 for value in trace.total]
    assert not trace.hold(3, 20, 1.0), "other columns"
    assert not trace.hold(1, 20, 0.5), "the past"
    assert not trace.hold(3, 30, 0.5), "more columns"
    # What was repeated is read again.
    for turn in range(100, 110):
        history.add(Sample(turn * 0.1, turn, 1, 0, turn + 1))
    trace.update(2, 20, 0.5, 11.0)
    assert trace.total[-2:] == [105, 110]


def test_adding_traces():
    assert add([[1, -1, -1], [2, 5, -1]], 3) == [3, 5, -1]
    assert add([], 2) == [-1, -1]


# The machine


GIB = 2**30


@pytest.mark.parametrize("size", [STRIP, SMALL, MEDIUM, LARGE], ids=NAME.get)
def test_the_machine_has_its_row(snap_compare, size):
    fleet = RecordedFleet(2)
    for member in fleet.list:
        member.state.facts = Facts(unified=True, memory=32 * GIB, working_set=21 * GIB)
        member.state.system = System(pressure="warning", swap_used=GIB, swap_total=2 * GIB, gpu=0.5)
    assert snap_compare(FleetApp(fleet), terminal_size=size, run_before=painted)


def test_members_of_one_machine_share_its_room_and_others_do_not_count():
    fleet = RecordedFleet(4)
    here, also, elsewhere, over = fleet.list
    assert together(fleet.list) == (System(), Room("memory"))
    for member in (here, also, over):
        member.state.facts = Facts(unified=True, memory=32 * GIB, working_set=21 * GIB)
        member.state.system = System(pressure="critical")
    over.ended = "killed"
    machine, bound = together(fleet.list)
    held = here.history.latest.total + also.history.latest.total
    assert machine.pressure == "critical"
    assert bound == Room("working set", 21 * GIB, 21 * GIB - held, "normal")
    assert elsewhere.state.system is None


# Layout


@pytest.mark.parametrize("prints", [False, True])
@pytest.mark.parametrize("room", [10, 12, 16, 20, 24, 30, 40, 50, 80])
def test_the_rows_fill_the_screen(room, prints):
    for members in (0, 1, 2, 4, 12, 64):
        for unattached in (0, 1, 30):
            h = heights(room, members, unattached, prints)
            fixed = 2 + (members > 0) + (prints and room >= ROOM_FOR_OUTPUT)
            assert sum(h) - h.session + fixed == room
            assert min(h) >= 0
    if room >= 24 and prints:
        assert heights(room, 4, 0, prints).rest >= 4


def test_the_table_leaves_room_for_time():
    for width in range(40, 250):
        for rows in (1, 2, 4):
            assert width - gutter(width, rows) >= min(14, width // 3), (width, table(width, rows))


def test_a_name_keeps_what_says_most():
    command = "/usr/local/bin/python3.12 /home/someone/projects/train.py --lr 1e-4 --epochs 30"
    assert squeeze(command, 100) == command
    assert squeeze(command, 30) == "train.py --lr 1e-4 --epochs 30"
    assert squeeze(command, 12) == "train.py --…"
    assert squeeze("mlx-community/a-model-of-great-length-4bit", 12) == "…length-4bit"
    assert squeeze("漢字漢字", 5) == "…漢字"
    assert [squeeze("abc", n) for n in (2, 1, 0)] == ["…c", "…", ""]


def test_a_cell_of_two_colours():
    assert stack(2, 11, 15) == ("▇█", "ca")
    assert stack(2, 4, 16) == ("█▄", "cb")
    assert stack(1, 0, 0) == (" ", " ")
