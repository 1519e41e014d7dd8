import json
import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop import __version__
from mlxtop.core.events import BudgetRead, ErrorRaised, Event, PhaseChanged, ProgressMade, SessionEnded
from mlxtop.core.facts import Facts
from mlxtop.core.sample import GAUGES, UNKNOWN, Sample
from mlxtop.core.transcript import KEPT_LINES
from mlxtop.recording import codec, schema
from mlxtop.recording import recorder as module
from mlxtop.recording.errors import RecordingError
from mlxtop.recording.reader import SAMPLE_COLUMNS, Recording
from mlxtop.recording.recorder import Recorder
from tests.recording.source import (
    PATIENCE,
    Session,
    add,
    busy_run,
    commit,
    end,
    let_go,
    real_run,
    record,
    recording,
    until,
)

NOBODY = 65534
value = st.integers(-(2**63), 2**63 - 1)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.mlxtop"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMIT_EVERY", 0.01)
    monkeypatch.setattr(module, "RETRY_EVERY", 0.05)


@pytest.fixture
def nobody() -> Iterator[None]:
    os.seteuid(NOBODY)
    yield
    os.seteuid(0)


def sentence(error: pytest.ExceptionInfo[RecordingError]) -> str:
    """The error's text, which must be one sentence."""
    text = str(error.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


# What is recorded is what is read


def test_a_real_run_is_read_as_it_was_recorded(path: Path) -> None:
    session = Session("demo")
    items = real_run(session)
    with recording(path) as recorder:
        put = add(recorder, session, label="rank 0", pid=4242, rank=0)
        for item in items:
            put(item)
    read = Recording(path)
    samples = [item for item in items if isinstance(item, Sample)]
    assert list(read.samples(1)) == samples
    assert (read.first(1), read.last(1), read.count(1)) == (samples[0], samples[-1], len(samples))
    kept = [e for e in items if isinstance(e, Event) and not isinstance(e.data, ProgressMade)]
    assert read.events(1) == kept
    assert read.phases(1) == session.phases
    (about,) = read.sessions
    assert about.facts == session.state.facts
    assert about[:7] == (1, 1_700_000_000.5, "demo", "rank 0", 4242, 0, ["mlxtop", "--model", "demo"])
    assert about[7:10] == (0.1, "tokens", "RSS")
    assert read.about["mlxtop"] == __version__
    assert read.damaged == 0


@given(st.lists(st.lists(st.tuples(*[value] * 11), max_size=8), min_size=1, max_size=4))
def test_any_integers_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[tuple[int, ...]]]
) -> None:
    path, n = tmp_path_factory.mktemp("run") / "run.mlxtop", 0
    recorder = Recorder(path)
    put = add(recorder, Session())
    run = []
    for part in parts:
        samples = [Sample(0.1 * (len(run) + i + 1), *values) for i, values in enumerate(part)]
        run += samples
        commit(recorder, samples, put)
    end(recorder)
    assert recorder.problem is None
    found = list(Recording(path).samples(1))
    assert [s[1:] for s in found] == [s[1:] for s in run]
    assert all(abs(a.time - b.time) <= 5e-7 for a, b in zip(found, run, strict=True)), n


@given(st.lists(st.integers(1, 10**14), min_size=1, max_size=20, unique=True), st.integers(0, 10**14))
def test_at_is_the_last_sample_until_then(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], at: int
) -> None:
    path = tmp_path_factory.mktemp("run") / "run.mlxtop"
    run = [Sample(us / 1e6, us, 0, us, us) for us in sorted(times)]
    record(path, run, every=3)
    assert Recording(path).at(1, at / 1e6) == max((s for s in run if s.time <= at / 1e6), default=None)


def test_samples_of_a_stretch_are_those_in_it(path: Path) -> None:
    run = [Sample(n / 10, n, 0, n, n) for n in range(500)]
    record(path, run, every=10)
    assert list(Recording(path).samples(1, 12.3, 34.5)) == run[123:345]


def test_several_sessions_lie_side_by_side_in_one_file(path: Path) -> None:
    recorder = Recorder(path)
    sessions = [Session(f"rank {n}", interval=0.1 * (n + 1)) for n in range(3)]
    puts = [add(recorder, session, rank=n, pid=100 + n) for n, session in enumerate(sessions)]
    for i in range(300):
        for n, put in enumerate(puts):
            put(Sample(i * 0.1 + n / 100, n, i, n, n))
        puts[i % 3](Event(i * 0.1, ErrorRaised(str(i))))
        if i % 50 == 0:
            commit(recorder, [], put)
    late = add(recorder, Session("late"))
    commit(recorder, [Sample(1.0, 7, 7, 7, 7)], late)
    end(recorder)
    read = Recording(path)
    assert [(a.id, a.title, a.label, a.rank, a.pid) for a in read.sessions] == [
        *((n + 1, f"rank {n}", f"rank {n}", n, 100 + n) for n in range(3)),
        (4, "late", "late", None, None),
    ]
    for n in range(3):
        assert [(s.active, s.cache) for s in read.samples(n + 1)] == [(n, i) for i in range(300)]
        assert [e.data.message for e in read.events(n + 1)] == [str(i) for i in range(n, 300, 3)]
    assert read.count(4) == 1
    assert (read.count(5), read.first(5), read.events(5), read.phases(5)) == (0, None, [], [])


def test_a_session_that_comes_while_another_is_being_written_is_recorded_too(path: Path) -> None:
    class Parent(Session):
        @property
        def title(self) -> str:
            if len(recorder._tracks) == 1:
                puts.append(add(recorder, Session("child")))
            return "parent"

        @title.setter
        def title(self, _: str) -> None: ...

    recorder, puts = Recorder(path), []
    puts.append(recorder.add(Parent(), [], started=0.0, label="parent"))
    commit(recorder, [Sample(0.1, 1, 1, 1, 1)], puts[0])
    commit(recorder, [Sample(0.1, 2, 2, 2, 2)], puts[1])
    assert recorder.problem is None
    end(recorder)
    read = Recording(path)
    assert [a.title for a in read.sessions] == ["parent", "child"]
    assert (read.phases(2), read.count(2)) == (["start"], 1)


def test_what_changes_while_it_is_recorded_is_told_as_it_ended(path: Path) -> None:
    session = Session()
    recorder = Recorder(path)
    put = add(recorder, session)
    commit(recorder, [Sample(0.1, 1, 1, 1, 1)], put)
    session.phases.append("decode")
    session.title, session.state.facts = "llama", Facts("M3", argv=("a", "b"))
    commit(recorder, [Sample(0.2, 1, 1, 1, 1, phase=1)], put)
    end(recorder)
    read = Recording(path)
    assert read.phases(1) == ["start", "decode"]
    assert (read.sessions[0].title, read.sessions[0].facts) == ("llama", session.state.facts)


def test_progress_is_not_kept(path: Path) -> None:
    record(path, [Event(0.1, ProgressMade("load", 1, 2)), Sample(0.2, 1, 1, 1, 1)])
    assert Recording(path).events(1) == []


def test_the_ten_minutes_a_program_brings_along_are_all_kept(path: Path) -> None:
    history = [Sample(n / 10, n, 0, n, n) for n in range(1, 6_002)]
    facts = Event(0.0, ErrorRaised("start"))
    record(path, [facts, *history], every=7_000)
    read = Recording(path)
    assert (read.count(1), len(read.events(1))) == (6_001, 1)


@pytest.mark.parametrize("text", [False, True])
def test_text_is_kept_only_where_it_is_asked_for(path: Path, text: bool) -> None:
    session = Session()
    with recording(path, text=text) as recorder:
        put = add(recorder, session)
        session.transcript.write("prompt", "a secret")
        session.transcript.write("reply", "an answer\nof two lines")
        put(Sample(0.1, 1, 1, 1, 1))
        until(lambda: recorder.size)
        session.transcript.write("reply", ", and more")
    said = [(s.who, s.text) for s in Recording(path).transcript(1)]
    whole = [("prompt", "a secret"), ("reply", "an answer"), ("reply", "of two lines, and more")]
    assert said == (whole if text else [])
    assert (b"secret" in path.read_bytes()) is text


@pytest.mark.parametrize(
    "item",
    [
        Sample(0.1, 2**70, 1, 1, 1),
        Sample(float("nan"), 1, 1, 1, 1),
        Event(0.1, ErrorRaised(object())),
    ],
    ids=["too large", "no time", "no JSON"],
)
def test_what_cannot_be_written_is_told_and_the_recorder_lives(path: Path, item: Event | Sample) -> None:
    session = Session()
    with recording(path) as recorder:
        put = add(recorder, session)
        put(item)
        until(lambda: session.warnings or not recorder.is_alive())
        assert recorder.is_alive()
        assert session.warnings[0].startswith("Recording stopped at ")


def test_names_that_are_no_unicode_are_recorded_too(path: Path) -> None:
    session = Session("bad \udcff name")
    session.phases.append("\udc80")
    record(path, [Sample(0.1, 1, 1, 1, 1), Event(0.2, ErrorRaised("\udcff"))], session=session)
    read = Recording(path)
    assert (read.count(1), len(read.events(1)), len(read.phases(1))) == (1, 1, 2)
    assert read.sessions[0].title.startswith("bad ")


# The file


@pytest.mark.parametrize(
    "name", ["50% of?#1.mlxtop", "ein Lauf ü.mlxtop", "-x", "\udcff.mlxtop", "file:x?mode=rw"]
)
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    record(tmp_path / name, [Sample(0.1, 1, 1, 1, 1)])
    assert [part.name for part in tmp_path.iterdir()] == [name]
    assert Recording(tmp_path / name).count(1) == 1


def test_only_its_owner_may_read_it(path: Path) -> None:
    recorder = Recorder(path)
    commit(recorder, [Sample(0.1, 1, 1, 1, 1)], add(recorder, Session()))
    assert {part.name: oct(part.stat().st_mode & 0o777) for part in path.parent.iterdir()} == {
        "run.mlxtop": "0o600",
        "run.mlxtop-wal": "0o600",
        "run.mlxtop-shm": "0o600",
    }
    end(recorder)


def test_a_clean_stop_leaves_one_file(path: Path) -> None:
    record(path, busy_run(10, 100))
    assert list(path.parent.iterdir()) == [path]
    with Recording(path)._database as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_any_sqlite_tool_can_tell_what_it_is(path: Path) -> None:
    record(path, busy_run(10, 100))
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA application_id").fetchone() == (schema.APPLICATION,)
        assert database.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        assert database.execute("SELECT sum(rows) FROM block WHERE level = 0").fetchone() == (1_000,)
        (data,) = database.execute("SELECT data FROM event").fetchone() or ("{}",)
        assert json.loads(data) == {}
    assert path.read_bytes()[68:72] == b"mlxt"


def test_any_sqlite_tool_reads_a_plain_row_for_each_second(path: Path) -> None:
    session = Session()
    items = real_run(session)
    with recording(path) as recorder:
        put = add(recorder, session)
        for item in items:
            put(item)
    seconds: dict[float, list[Sample]] = {}
    for item in items:
        if isinstance(item, Sample):
            seconds.setdefault(item.time // 1, []).append(item)
    assert len(seconds) > 20
    with sqlite3.connect(path) as database:
        database.row_factory = sqlite3.Row
        rows = [dict(row) for row in database.execute("SELECT * FROM samples")]
    highest = [{name: max(getattr(s, name) for s in each) for name in GAUGES} for each in seconds.values()]
    last = [
        {name: getattr(each[-1], name) for name in ("tokens", "phase", "weights", "kv")}
        for each in seconds.values()
    ]
    assert rows == [
        {"session": 1, "time": second}
        | {name: None if value == UNKNOWN else value for name, value in (high | end).items()}
        for second, high, end in zip(seconds, highest, last, strict=True)
    ]


def test_what_is_not_known_of_a_second_is_null(path: Path) -> None:
    record(path, [Sample(0.1, 5, 0, 5, 5), Sample(0.2, 7, 0, 7, 7)])
    with sqlite3.connect(path) as database:
        found = database.execute("SELECT active, cache, footprint, weights, kv FROM samples").fetchall()
    assert found == [(7, 0, None, None, None)]


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="there is no sqlite3 program here")
@pytest.mark.usefixtures("processes")
def test_the_sqlite3_program_reads_the_seconds_while_the_recording_grows(path: Path) -> None:
    recorder = Recorder(path)
    put = add(recorder, Session())
    for n in range(3):
        commit(recorder, [Sample(n + 0.5, n * 4096, 0, n, n)], put)
    query = ["sqlite3", str(path), "select time, active from samples"]
    assert subprocess.run(query, capture_output=True, text=True, check=True).stdout == "0.0|0\n1.0|4096\n"
    end(recorder)
    assert subprocess.run(query, capture_output=True, text=True, check=True).stdout.endswith("2.0|8192\n")


def test_a_recording_without_plain_rows_opens(path: Path) -> None:
    record(path, busy_run(10, 10))
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE samples")
    read = Recording(path)
    read.check()
    assert (read.count(1), read.damage()) == (100, None)


def test_reading_leaves_the_file_and_its_folder_as_they_were(path: Path) -> None:
    record(path, busy_run(10, 100))
    before = path.read_bytes()
    read = Recording(path)
    list(read.samples(1))
    read.close()
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@root_only
def test_a_finished_recording_is_read_where_nothing_may_be_written(path: Path, nobody: None) -> None:
    os.seteuid(0)
    record(path, busy_run(10, 100))
    path.chmod(0o444)
    _open_way(path)
    os.seteuid(NOBODY)
    assert Recording(path).count(1) == 1_000


@root_only
def test_a_recording_one_may_not_read_is_not_called_damaged(path: Path, nobody: None) -> None:
    os.seteuid(0)
    record(path, busy_run(10, 10))
    _open_way(path)
    os.seteuid(NOBODY)
    with pytest.raises(RecordingError) as error:
        Recording(path)
    assert "damaged" not in sentence(error)


@root_only
def test_a_recording_cut_off_by_a_kill_in_a_read_only_folder_says_what_to_do(
    path: Path, nobody: None
) -> None:
    os.seteuid(0)
    recorder = Recorder(path)
    commit(recorder, [Sample(0.1, 1, 1, 1, 1)], add(recorder, Session()))
    (folder := path.parent / "copy").mkdir(0o755)
    for end_of_name in ("", "-wal"):
        shutil.copy(f"{path}{end_of_name}", folder)
        (folder / f"{path.name}{end_of_name}").chmod(0o644)
    _open_way(folder / path.name)
    os.seteuid(NOBODY)
    with pytest.raises(RecordingError, match=r"copy it and run\.mlxtop-wal to another one") as error:
        Recording(folder / path.name)
    assert "damaged" not in sentence(error)
    os.seteuid(0)
    end(recorder)


def _open_way(path: Path) -> None:
    """Lets anybody look into the folders that lead to `path`, and nobody write there."""
    for folder in path.parents:
        if folder.stat().st_mode & 0o055 != 0o055 and folder != Path("/"):
            folder.chmod(0o755)


def test_a_recorder_that_nothing_is_given_leaves_a_file_that_says_so(path: Path) -> None:
    with recording(path):
        pass
    with pytest.raises(RecordingError, match="contains no session"):
        Recording(path)


def test_one_that_was_never_started_can_be_stopped(path: Path) -> None:
    Recorder(path).stop()


# Where it cannot be begun


@pytest.mark.parametrize("kind", ["file", "empty file", "folder", "link to nowhere"])
def test_what_exists_is_refused_and_left_alone(path: Path, kind: str) -> None:
    match kind:
        case "file":
            path.write_text("mine")
        case "empty file":
            path.touch()
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to("nowhere")
    with pytest.raises(RecordingError, match="exist") as error:
        Recorder(path)
    assert str(path) in sentence(error)
    assert [part.name for part in path.parent.iterdir()] == ["run.mlxtop"]
    assert not path.is_file() or path.read_text() == ("mine" if kind == "file" else "")


@pytest.mark.parametrize("where", ["missing/run.mlxtop", "file/run.mlxtop", "x" * 300, "/proc/run.mlxtop"])
def test_a_place_that_cannot_be_written_is_told_in_one_sentence(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match="cannot be written") as error:
        Recorder(tmp_path / where)
    assert "choose another path with --record" in sentence(error)


@root_only
@pytest.mark.parametrize("mode", [0o555, 0o700], ids=["read-only", "closed"])
def test_a_folder_of_somebody_else_is_told_in_one_sentence(tmp_path: Path, nobody: None, mode: int) -> None:
    os.seteuid(0)
    _open_way(tmp_path / "x")
    (tmp_path / "folder").mkdir(mode)
    os.seteuid(NOBODY)
    with pytest.raises(RecordingError, match="Permission denied") as error:
        Recorder(tmp_path / "folder/run.mlxtop")
    assert sentence(error)


@pytest.mark.parametrize("where", ["run.mlxtop", "missing/run.mlxtop", "file/run.mlxtop", "x" * 300, "."])
def test_a_recording_that_is_not_there_is_told_in_one_sentence(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError) as error:
        Recording(tmp_path / where)
    assert "damaged" not in sentence(error)


# The session it records is never held up


def test_a_sink_never_waits_for_the_file(path: Path) -> None:
    session = Session()
    with recording(path) as recorder:
        put = add(recorder, session)
        put(Sample(0.0, 1, 1, 1, 1))
        until(lambda: recorder.size)
        # Somebody else writes: the recorder's thread waits for a second, then tells.
        lock = sqlite3.connect(path, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        given = 0
        while not session.warnings:
            given += 1
            put(Sample(given / 1000, given, 1, 1, 1))
            threading.Event().wait(0.001)
        lock.execute("ROLLBACK")
        lock.close()
        until(lambda: session.warnings[-1] is None)
    # A sink that waited as well would have taken one or two.
    assert given > 10
    assert Recording(path).count(1) == given + 1


def test_many_threads_may_tell_at_once(path: Path) -> None:
    with recording(path) as recorder:
        puts = [add(recorder, Session(str(n))) for n in range(4)]

        def tell(n: int) -> None:
            for i in range(2_000):
                puts[n](Sample(i / 1000, i, n, i, i))

        threads = [threading.Thread(target=tell, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    read = Recording(path)
    assert [read.count(n + 1) for n in range(4)] == [2_000] * 4


# Size


@pytest.mark.parametrize("rate", [10, 100])
def test_a_sample_takes_at_most_24_bytes_of_the_file(
    path: Path, rate: int, figure: Callable[[str], None]
) -> None:
    run = list(busy_run(rate, 600))
    record(path, run, every=rate)
    each = path.stat().st_size / len(run)
    figure(f"a recording at {rate} Hz: {each:.1f} bytes a sample")
    assert each <= (24 if rate == 100 else 48)


def test_blocks_are_merged_so_that_few_are_read(path: Path) -> None:
    run = list(busy_run(100, 200))
    record(path, run, every=100)
    with sqlite3.connect(path) as database:
        blocks = database.execute("SELECT rows, data FROM block WHERE level = 0 ORDER BY start").fetchall()
    assert [rows for rows, _ in blocks[:3]] == [6_000] * 3
    assert sum(rows for rows, _ in blocks) == len(run)
    assert len(codec.unpack(blocks[0][1], SAMPLE_COLUMNS, 6_000)[0]) == 6_000


def test_a_recorder_that_is_told_to_let_go_in_a_test_leaves_what_was_committed(path: Path) -> None:
    recorder = Recorder(path)
    commit(recorder, [Sample(0.1, 1, 1, 1, 1)], add(recorder, Session()))
    let_go(recorder)
    assert Recording(path).count(1) == 1


# How it ends


@pytest.mark.parametrize("over", [False, True])
def test_the_cause_is_the_last_word_of_a_session_that_has_not_ended_itself(path: Path, over: bool) -> None:
    recorder, session = Recorder(path), Session()
    put = add(recorder, session)
    put(Sample(1.0, 1, 2, 3, 3))
    if over:
        put(Event(1.1, PhaseChanged("ended")))
    session.clock = 2.0
    recorder.start()
    recorder.stop(PATIENCE, cause="ended by SIGHUP")
    last = Recording(path).events(1)[-1:]
    if over:
        assert [event.data for event in last] == [PhaseChanged("ended")]
    else:
        assert last == [Event(2.0, SessionEnded("ended by SIGHUP"))]


def test_what_only_says_how_things_stand_takes_no_room_while_the_file_cannot_be_written(path: Path) -> None:
    recorder, session = Recorder(path), Session(interval=60.0)
    put = add(recorder, session)
    for item in (Sample(1.0, 1, 2, 3, 3), *[Event(1.0, BudgetRead(None))] * 1_000, Sample(2.0, 1, 2, 3, 3)):
        put(item)
    recorder._collect()
    assert [len(track.waiting) for track in recorder._tracks] == [2]


def test_lines_that_came_too_fast_for_the_recording_are_counted_in_it(path: Path) -> None:
    recorder, session = Recorder(path, text=True), Session()
    put = add(recorder, session)
    session.transcript.write("out", "first\n\x1b[2J\x00second\n")
    commit(recorder, [Sample(1.0, 1, 2, 3, 3)], put)
    for n in range(3):
        session.transcript.write("out", f"{n}\n" * KEPT_LINES)
    end(recorder)
    said = [line.text for line in Recording(path).transcript(1)]
    assert said[:3] == [
        "first",
        f"… {2 * KEPT_LINES + 1:,} lines left out: they came too fast to be recorded …",
        "2",
    ]
    assert len(said) == KEPT_LINES + 2
