"""What was alive at the peak, beside the charts: rows, a click on a moment, and what cannot be read."""

from pathlib import Path

import pytest

from mlxtop.core.commands import SetTrace
from mlxtop.core.events import TraceStarted, TraceStopped
from mlxtop.tui.charts.axis import Axis
from mlxtop.tui.charts.sparkline import BufferChart
from mlxtop.tui.panels.at_peak import AtPeak
from mlxtop.tui.screens import dashboard
from mlxtop.tui.trace_reader import EARLIER
from tests.trace.writer import WALL, Writer, context
from tests.tui.painted import idle, painted

MIB = 2**20
SIZES = [(80, 24), (120, 40), (200, 50)]


def write(path: Path) -> None:
    """A trace of a second: 30 MiB at most, after 0.5 s."""
    made = Writer(capacity=16)
    weights = made.site("AddMM", context("train", "/home/me/project/model.py:12 __call__"))
    norms = made.site("fast::RMSNorm", context("train", "/home/me/project/train.py:88 step"))
    made.tick(490_000_000)
    made.allocate(4096, 20 * MIB, weights)
    made.allocate(8192, 10 * MIB, norms)
    made.tick(100_000_000)
    made.free(8192)
    made.tick(400_000_000)
    path.write_bytes(made.whole())


@pytest.fixture
def traced(session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A session whose program writes a trace, which begins at 10 s."""
    path = tmp_path / "t.mlxtrace"
    write(path)
    session.process, session.started = 1, WALL / 1e9 - 10.0
    session.state.facts = session.state.facts.replace(resource_limit=20_000)
    session.record_event(TraceStarted(str(path), "flag"), time=10.0)
    return session


def rows(app) -> list[str]:
    panel = next(panel for panel in app.screen.query(AtPeak) if panel.display)
    return ["".join(segment.text for segment in strip).strip() for strip in panel._strips]


async def until(pilot, what) -> None:
    for _ in range(500):
        app = pilot.app
        if what(rows(app)):
            return
        await pilot.pause(0.02)
    raise AssertionError(rows(pilot.app))


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("light", [False, True], ids=["dark", "light"])
def test_picture(snap_compare, app, traced, size, light):
    """Where there is room, with the chart of live buffers."""
    for n in range(40):
        traced.pass_time(0.5, buffers=300 * n)

    async def act(pilot):
        await painted(pilot)
        if light:
            await pilot.press("t")
        await until(pilot, lambda rows: "30.0 MiB" in rows[0])
        await idle(pilot)

    assert snap_compare(app, terminal_size=size, run_before=act)


async def test_operations_then_lines_then_sizes(app, traced):
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot)
        await until(pilot, lambda rows: "30.0 MiB" in rows[0])
        found = [" ".join(row.split()) for row in rows(app) if row]
    assert found == [
        "at the peak 30.0 MiB in 2 buffers",
        "operation AddMM 20.0 MiB 67%",
        "fast::RMSNorm 10.0 MiB 33%",
        "line project/model.py:12 __call__ 20.0 MiB 67%",
        "project/train.py:88 step 10.0 MiB 33%",
        "size 16.0 MiB to 32.0 MiB 20.0 MiB 67%",
        "8.0 MiB to 16.0 MiB 10.0 MiB 33%",
    ]


async def test_a_click_shows_what_was_alive_then_and_escape_the_peak(app, traced):
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot)
        await until(pilot, lambda rows: "30.0 MiB" in rows[0])
        columns = app.screen._columns

        async def click(time: float) -> None:
            column = int((time - columns.start) / columns.width)
            await pilot.click("#active", offset=(dashboard.GUTTER + column, 1))

        await click(11.7)
        await until(pilot, lambda rows: "ago" in rows[0])
        assert "20.0 MiB in 1 buffer " in rows(app)[0]
        await click(5.0)
        await until(pilot, lambda rows: EARLIER in rows[1])
        await pilot.press("escape")
        await until(pilot, lambda rows: "at the peak 30.0 MiB" in rows[0])


@pytest.mark.parametrize("height", [45, 46])
async def test_buffers_have_a_chart_where_it_takes_nothing_from_the_panel(app, session, height):
    async with app.run_test(size=(120, height)) as pilot:
        await painted(pilot)
        chart, axis = app.screen.query_one(BufferChart), app.screen.query_one(Axis)
        before = axis.region
        assert not chart.display
        session.pass_time(1.0, buffers=12_345)
        await painted(pilot)
        assert chart.display == (height == 46)
        assert axis.region == before
        if chart.display:
            head, ends, *_ = ["".join(segment.text for segment in strip) for strip in chart._strips]
            assert head.split()[:3] == ["buffers", "≥", "12.3k"]
            assert ends.split()[0] == "12k–12.8k"


async def test_a_file_that_is_gone_or_elsewhere_is_told(app, traced):
    Path(traced.state.trace).unlink()
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot)
        await until(pilot, lambda rows: "No such file" in rows[1])
        traced.process = None
        app.screen.tick()
        await until(pilot, lambda rows: "on the program's host" in rows[1])


async def test_a_key_starts_and_stops_a_trace(app, session):
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot)
        await pilot.press("A")
        session.record_event(TraceStarted("/tmp/t.mlxtrace", "keyboard"), time=11.0)
        await idle(pilot)
        assert session.state.tracing
        await pilot.press("A")
        session.record_event(TraceStopped("/tmp/t.mlxtrace", "keyboard"), time=12.0)
        await idle(pilot)
    assert session.asked[-2:] == [SetTrace(True, "keyboard"), SetTrace(False, "keyboard")]


async def test_an_older_agent_is_said_not_to_trace(app, session):
    session.capabilities = session.capabilities - {SetTrace}
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot)
        await pilot.press("A")
        await idle(pilot)
        assert [note.message for note in app._notifications] == [dashboard.OLD_AGENT]
    assert session.asked == []
