"""The page as text: what it says, what it escapes, how large it gets. In a browser: test_report_browser.py."""

import hashlib
import json
import re
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.core.census import Census, Holding
from mlxtop.core.events import (
    CacheCleared,
    CensusTaken,
    ErrorRaised,
    Event,
    GenerationFinished,
    LimitChanged,
    MarkAdded,
    SessionEnded,
    StepPeaked,
    SystemRead,
    WorkloadDone,
)
from mlxtop.core.facts import Facts
from mlxtop.core.machine import System
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.core.units import format_delta, format_size
from mlxtop.recording.reader import Recording
from mlxtop.recording.recorder import Recorder
from mlxtop.report import chart_data, series
from mlxtop.report.page import page
from mlxtop.tui.theme import defaults
from tests.recording.source import Session, busy_run, commit, end, real_run, record

MIB = 2**20
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"'\u2028\x1b[31m"
REPORT = Path(chart_data.__file__).parent


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a real run of the demo."""
    path = tmp_path_factory.mktemp("real") / "run.mlxtop"
    session = Session()
    record(path, real_run(session), session=session)
    return page(Recording(path))


def made(path: Path, items: list[Event | Sample], session: Session | None = None) -> str:
    record(path, items, session=session, every=500)
    return page(Recording(path))


def data(text: str) -> dict[str, Any]:
    """What the page holds for its script."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])  # type: ignore[no-any-return]


def text_of(html: str) -> str:
    """What a person reads: no scripts, no styles, no tags."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


# What it says


def test_it_tells_how_the_machine_stood_where_that_was_told(tmp_path: Path, real: str) -> None:
    session = Session()
    session.state.facts = Facts(os="macOS 15.5 (24F74)")
    readings = [
        {"pressure": "normal", "swap_used": 0, "thermal": "nominal"},
        {"pressure": "critical", "swap_used": 3 * 2**30, "thermal": "heavy"},
        {"pressure": "warning", "swap_used": 2**30, "thermal": "nominal", "wired": 7 * MIB},
    ]
    told = [Event(float(at), SystemRead(System.from_json(reading))) for at, reading in enumerate(readings)]
    said = text_of(made(tmp_path / "mac.mlxtop", [Sample(0.0, 1, 2, 3, 3), *told], session))
    assert "pressure normal warning critical" in said
    assert "swap used 0 B 1.00 GiB 3.00 GiB" in said
    assert "thermal nominal nominal heavy" in said
    assert "wired — 7.0 MiB 7.0 MiB" in said
    assert "system macOS 15.5 (24F74)" in said
    assert "available" not in said
    # A recording of before has none of it.
    assert "pressure" not in text_of(real)


def test_it_lists_the_highest_steps_and_draws_what_rose_between_samples(tmp_path: Path) -> None:
    items: list[Event | Sample] = [
        Sample(0.0, 5 * MIB, 0, 5 * MIB, 5 * MIB),
        Sample(1.0, 5 * MIB, 0, 9 * MIB, 5 * MIB, high=9 * MIB),
        Event(0.5, StepPeaked(9 * MIB, 5 * MIB, 1_042, "train", "my/train.py:88", 300, "async")),
        Event(0.6, StepPeaked(11 * MIB, 5 * MIB, 0, "run", how="between")),
        Sample(2.0, 5 * MIB, 0, 9 * MIB, 5 * MIB),
    ]
    html = made(tmp_path / "steps.mlxtop", items)
    said = text_of(html)
    assert "9.0 MiB 4.0 MiB train 1,042 300 my/train.py:88, async" in said
    assert "11.0 MiB 6.0 MiB run — — between two steps" in said
    assert said.index("11.0 MiB") < said.index("1,042")
    recording = Recording(tmp_path / "steps.mlxtop")
    assert series.series(recording, recording.sessions[0], 1).hi["active"] == [5 * MIB, 9 * MIB, 5 * MIB]


def test_it_tells_the_run_the_machine_and_the_versions(real: str) -> None:
    said = text_of(real)
    for word in ("demo", "mlxtop --model demo", "AMD EPYC, CPU", "mlx 0.32.4, mlx-lm 0.32.2", "Linux x86_64"):
        assert word in said, word
    assert "2023-11-14 22:13:20 UTC" in said


def test_the_growth_is_that_of_the_samples(tmp_path: Path) -> None:
    samples = [Sample(n * 1.0, n * MIB, 0, n * MIB, n * MIB, tokens=n, steps=n) for n in range(121)]
    generations = [Event(t, GenerationFinished(9, 0, 0.1, 9.0, 0.0, "stop")) for t in (10.0, 20.0)]
    mark = Event(60.0, MarkAdded("epoch 2", "program", 60 * MIB, 0, 60 * MIB, 60))
    said = text_of(made(tmp_path / "run.mlxtop", sorted([*samples, *generations, mark], key=lambda i: i[0])))
    assert "The whole recording: 2m, 2 generations, 120 tokens" in said
    assert "active 0 B 120.0 MiB +120.0 MiB +60.0 MiB +60.0 MiB" in said
    assert "start → epoch 2: 1m, 2 generations" in said
    assert "epoch 2 → end: 1m" in said
    assert "footprint — — — — —" in said


def test_the_most_of_the_run_goes_with_what_other_tools_show(tmp_path: Path) -> None:
    samples = [
        Sample(n * 1.0, 5 * MIB, n % 9 * MIB, 7 * MIB, (5 + n % 9) * MIB, (50 + n % 7) * MIB)
        for n in range(30)
    ]
    said = text_of(made(tmp_path / "run.mlxtop", samples))
    assert "Peak 7.0 MiB of arrays; most MLX held 13.0 MiB; most the system charged 56.0 MiB" in said


def test_a_peak_between_two_samples_belongs_to_the_phase_it_rose_in(tmp_path: Path) -> None:
    session = Session()
    session.phases = ["idle", "prefill"]
    samples = [Sample(n / 10, 5, 0, 90 if n > 12 else 7, 5, phase=int(10 < n < 15)) for n in range(30)]
    said = text_of(made(tmp_path / "run.mlxtop", samples, session))
    assert "prefill 90 B 0 B 5 B 0.4s 1" in said
    assert "idle 7 B 0 B 5 B 2.5s 2" in said


def test_limits_say_who_set_them_and_how_often(tmp_path: Path) -> None:
    samples = [Sample(n / 10, 5, 5, 5, 10) for n in range(50)]
    limits = [
        Event(0.0, LimitChanged("cache", 9 * MIB, 9 * MIB, "MLX's default")),
        Event(2.0, LimitChanged("cache", 9 * MIB, 4 * MIB, "lib/x.py:7")),
    ]
    html = made(tmp_path / "run.mlxtop", sorted([*samples, *limits], key=lambda i: i[0]))
    assert "cache 4.0 MiB lib/x.py:7 9.0 MiB 1" in text_of(html)
    (drawing,) = data(html)["sessions"]
    assert drawing["limit"] == [[0.0, 9 * MIB], [2.0, 4 * MIB]]
    assert [(tick["time"], tick["kind"], tick["up"]) for tick in drawing["ticks"]] == [(2.0, "limit", False)]


@pytest.mark.parametrize(
    ("events", "how"),
    [
        ([Event(3.0, ErrorRaised("killed by SIGKILL", "ended"))], "killed by SIGKILL"),
        ([Event(3.0, WorkloadDone())], "the workload was done"),
        ([Event(3.0, SessionEnded("ended by SIGTERM"))], "ended by SIGTERM"),
        ([], "the recording ends while it runs"),
    ],
)
def test_how_it_ended(tmp_path: Path, events: list[Event], how: str) -> None:
    samples = [Sample(n / 10, 5, 5, 5, 10) for n in range(30)]
    assert f"ended {how}" in text_of(made(tmp_path / "run.mlxtop", [*samples, *events]))


def test_the_verdict_stands_on_the_page(tmp_path: Path) -> None:
    items: list[Any] = [
        Sample(
            n * 0.5, 2**30 + n * MIB, 0, 2**30 + n * MIB, 2**30 + n * MIB, tokens=n, steps=n, decode=n * 1000
        )
        for n in range(3000)
    ]
    said = text_of(made(tmp_path / "run.mlxtop", items, Session(interval=0.5)))
    assert "active grows" in said


def test_a_session_without_samples_is_a_page_too(tmp_path: Path) -> None:
    said = text_of(made(tmp_path / "run.mlxtop", [Event(1.0, ErrorRaised("no such model", "load"))]))
    assert "Nothing was sampled." in said
    assert "no such model" in said


# What is drawn


def test_each_sample_of_a_short_run_is_drawn_as_it_is(tmp_path: Path) -> None:
    samples = list(busy_run(10, 60))
    (drawing,) = data(made(tmp_path / "run.mlxtop", list(samples)))["sessions"]
    assert list(accumulate(drawing["times"])) == [round(s.time * 1000) for s in samples]
    for name in ("active", "cache", "peak", "total", "footprint"):
        assert list(accumulate(drawing["lo"][name])) == [getattr(s, name) for s in samples]
    assert drawing["hi"] == {}


def test_a_long_run_keeps_its_extremes_in_few_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "MOST_COLUMNS", 600)
    samples = list(busy_run(2, 10_000))
    samples[7_777] = samples[7_777]._replace(active=99 * 2**30)
    samples[12_345] = samples[12_345]._replace(active=1)
    (drawing,) = data(made(tmp_path / "run.mlxtop", list(samples), Session(interval=0.5)))["sessions"]
    low = list(accumulate(drawing["lo"]["active"]))
    high = [a + more for a, more in zip(low, drawing["hi"]["active"], strict=True)]
    assert len(low) <= 601
    assert (min(low), max(high)) == (1, 99 * 2**30)
    assert max(high) == max(s.active for s in samples)


@pytest.mark.parametrize("most", [series.MOST_COLUMNS, 600], ids=["as they are", "in columns"])
def test_buffers_are_drawn_where_a_trace_counted_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, real: str
) -> None:
    monkeypatch.setattr(series, "MOST_COLUMNS", most)
    session = Session()
    session.state.facts = Facts(resource_limit=499_000)
    items = [Sample(n * 0.1, 1, 2, 3, 3, buffers=n if n >= 20 else UNKNOWN) for n in range(1000)]
    html = made(tmp_path / "counted.mlxtop", items, session)
    (one,) = data(html)["sessions"]
    assert one["most_buffers"] == 499_000
    known = list(accumulate(value for value in one["buffers"] if value is not None))
    assert len(one["buffers"]) == len(one["times"])
    assert one["buffers"][0] is None
    assert known == sorted(known)
    assert known[-1] == 999
    assert "buffers: live buffers that a trace counted" in text_of(html)
    assert data(real)["sessions"][0]["buffers"] == []
    assert "buffers:" not in text_of(real)


def test_missing_samples_are_a_gap(tmp_path: Path) -> None:
    samples = [Sample(n / 10 + (60 if n > 50 else 0), 5, 0, 5, 5) for n in range(100)]
    (drawing,) = data(made(tmp_path / "run.mlxtop", list(samples)))["sessions"]
    assert drawing["lo"]["active"].index(None) == 51
    assert drawing["lo"]["active"].count(None) == 1


def test_many_events_become_few_ticks_that_count_them(tmp_path: Path) -> None:
    items: list[Any] = [Sample(n / 10, 5, 0, 5, 5) for n in range(3_000)]
    items += [Event(n / 10, CacheCleared("a.py:1", 1, 2)) for n in range(3_000)]
    html = made(tmp_path / "run.mlxtop", sorted(items, key=lambda i: i[0]))
    (drawing,) = data(html)["sessions"]
    assert len(drawing["ticks"]) <= series.MOST_TICKS + 1
    assert sum(tick["times"] for tick in drawing["ticks"]) == 6_000
    assert "6,000 × cache cleared" in text_of(html)
    assert html.count('class="kind clear"') <= 40


@given(st.lists(st.one_of(st.none(), st.integers(-(2**62), 2**62))))
def test_differences_add_up_again(values: list[int | None]) -> None:
    found, run = [], 0
    for step in chart_data._steps(values):
        run += step or 0
        found.append(None if step is None else run)
    assert found == values


def test_sessions_share_one_time_axis(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run.mlxtop")
    for n in range(2):
        put = recorder.add(Session(), ["x"], started=1_700_000_000.0 + n * 30, label=f"rank {n}")
        commit(recorder, [Sample(i / 10, 5, 0, 5, 5) for i in range(100)], put)
    end(recorder)
    html = page(Recording(tmp_path / "run.mlxtop"))
    first, second = data(html)["sessions"]
    assert (first["times"][0], second["times"][0]) == (0, 30_000)
    assert data(html)["end"] == pytest.approx(39.9)
    assert html.count('class="chart"') == 2


# What it must never be


def test_foreign_text_is_text_wherever_it_stands(tmp_path: Path) -> None:
    session = Session(HOSTILE)
    session.phases = [HOSTILE]
    session.steps_are = HOSTILE
    session.state.facts = Facts(
        HOSTILE, HOSTILE, platform=HOSTILE, python=HOSTILE, mlx=HOSTILE, mlx_lm=HOSTILE
    )
    census = Census(active=1, holdings=(Holding("other", 1, (1,), HOSTILE, HOSTILE),))
    items: list[Any] = [
        *(Sample(n / 10, 5, 0, 5, 5, UNKNOWN, n, n, n * 10) for n in range(30)),
        Event(3.0, MarkAdded(HOSTILE, HOSTILE, 1, 1, 1, 1)),
        Event(3.0, LimitChanged("cache", 1, 2, HOSTILE)),
        Event(3.0, CensusTaken(census)),
        Event(3.0, ErrorRaised(HOSTILE, "ended")),
        Sample(4.0, 5, 0, 5, 5),
    ]  # fmt: skip
    path = tmp_path / "run.mlxtop"
    recorder = Recorder(path)
    put = recorder.add(session, [HOSTILE, HOSTILE], started=1e9, label=HOSTILE)
    commit(recorder, items, put)
    end(recorder)
    html = page(Recording(path))
    assert "<script>alert" not in html
    assert "<img" not in html
    assert html.count("</script>") == 3
    assert "\x1b" not in html
    assert "\u2028" not in html
    assert HOSTILE.split("\u2028")[0] in json.dumps(data(html), ensure_ascii=False).replace('\\"', '"')


def test_it_asks_the_network_for_nothing(real: str) -> None:
    assert "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'" in real
    assert not re.search(r"<(link|img|iframe|object|embed|base|form)\b|\ssrc=|@import|url\(", real)


def test_a_day_at_ten_samples_a_second_is_well_under_a_megabyte_and_a_half(tmp_path: Path) -> None:
    # One sample in five seconds has the same columns.
    html = made(tmp_path / "run.mlxtop", list(busy_run(1, 86_400))[::5], Session(interval=5.0))
    (drawing,) = data(html)["sessions"]
    assert 2_000 < len(drawing["times"]) <= series.MOST_COLUMNS
    assert len(html.encode()) < 800_000
    assert "A point stands for 30s" in text_of(html)


# What it is made of


@pytest.mark.parametrize("dark", [False, True])
def test_a_colour_means_what_it_means_on_the_screen(dark: bool) -> None:
    css = (REPORT / "style.css").read_text()
    light, *rest = re.findall(r":root[^{]*\{(.*?)\}", css, re.DOTALL)
    named = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", rest[0] if dark else light))
    screen = defaults(dark)
    assert {"active", "cache", "peak", "speed", "limit", "decode"} <= named.keys()
    assert {n: c for n, c in named.items() if n in screen} == {n: screen[n] for n in named if n in screen}
    assert named.keys() - screen.keys() == {"page", "panel", "text"}


def test_the_library_is_the_one_its_version_file_names() -> None:
    folder = REPORT / "vendor/uPlot"
    sums = dict(re.findall(r"([0-9a-f]{64})  (\S+)", (folder / "VERSION").read_text()))
    assert set(sums.values()) == {"uPlot.iife.min.js", "uPlot.min.css"}
    for digest, name in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert "MIT" in (folder / "LICENSE").read_text()


def test_the_page_carries_the_licence_of_its_library(real: str) -> None:
    assert "Copyright (c) 2022 Leon Sorokin" in real
    assert "Permission is hereby granted" in real


def test_sizes_are_said_as_on_the_screen(real: str) -> None:
    drawing = data(real)["sessions"][0]
    last = sum(drawing["lo"]["active"])
    assert format_size(last) in text_of(real)
    assert f'title="{last:,} bytes"' in real
    assert format_delta(last - drawing["lo"]["active"][0]) in text_of(real)
