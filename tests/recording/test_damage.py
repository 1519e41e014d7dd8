"""What of a damaged recording is read, and that the rest is told with its times, never left out in silence."""

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from mlxtop.core.events import Event, PeakReset
from mlxtop.core.sample import Sample
from mlxtop.recording.errors import RecordingError
from mlxtop.recording.reader import Recording
from mlxtop.recording.recorder import Recorder
from mlxtop.sessions.replay import ReplayFleet
from tests.process import mlxtop
from tests.recording.source import Session, add, busy_run, commit, end, let_go, record

PAGE = 4_096
RUN = list(busy_run(2, 600))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes at two samples a second."""
    path = tmp_path_factory.mktemp("whole") / "run.mlxtop"
    record(path, RUN, every=5)
    return path


@pytest.fixture
def path(tmp_path: Path, whole: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "run.mlxtop"))


def read(path: Path) -> tuple[list[Sample], Recording] | None:
    """All samples that can be had, and what is known of the rest; `None` for a file that is refused."""
    try:
        recording = Recording(path)
    except RecordingError:
        return None
    found = list(recording.samples(1))
    recording.check()
    recording.close()
    return found, recording


def is_told(missing: list[Sample], recording: Recording) -> bool:
    return all(any(hole.start <= sample.time <= hole.end for hole in recording.holes) for sample in missing)


def test_a_whole_recording_has_no_holes(path: Path) -> None:
    found = read(path)
    assert found is not None
    assert found[0] == RUN
    assert (found[1].holes, found[1].damaged, found[1].damage()) == ([], 0, None)


def test_a_flipped_bit_makes_nothing_short_or_other_in_silence(path: Path) -> None:
    data, chance, short, refused = path.read_bytes(), random.Random(8), 0, 0
    kept = set(RUN)
    for _ in range(60):
        hurt = bytearray(data)
        hurt[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(hurt)
        result = read(path)
        if result is None:
            refused += 1
            continue
        found, recording = result
        assert kept.issuperset(found), "a sample that was never there"
        missing = sorted(kept.difference(found))
        short += bool(missing)
        assert is_told(missing, recording)
        assert len(missing) <= len(RUN) // 2
    assert short > 5
    assert refused < 8


def test_of_every_page_that_cannot_be_read_the_others_are(path: Path) -> None:
    data, refused, least = path.read_bytes(), [], len(RUN)
    pages = len(data) // PAGE
    for page in range(1, pages):
        path.write_bytes(data[: page * PAGE] + b"\xa5" * PAGE + data[(page + 1) * PAGE :])
        result = read(path)
        if result is None:
            refused.append(page)
            continue
        found, recording = result
        kept = set(found)
        assert found == [sample for sample in RUN if sample in kept]
        assert is_told(sorted(set(RUN) - kept), recording)
        last = recording_at_end(path)
        assert last is None or last in RUN
        least = min(least, len(found))
    print(
        f"{pages} pages, {len(refused)} of which are needed for anything; {least} of {len(RUN)} samples at least"
    )
    # What says who the session was.
    assert len(refused) <= 2


def recording_at_end(path: Path) -> Sample | None:
    recording = Recording(path)
    try:
        assert recording.count(1) >= 0
        recording.rows(1, 1, 0.0, 700.0)
        return recording.last(1)
    finally:
        recording.close()


def test_a_block_that_is_gone_is_missed(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM block WHERE level = 0 AND start BETWEEN 100 AND 200")
    found = read(path)
    assert found is not None
    (hole,) = found[1].holes
    before, after = (
        max(s.time for s in found[0] if s.time < 150),
        min(s.time for s in found[0] if s.time > 150),
    )
    assert hole == (1, before, after)
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM block WHERE level = 0 AND start > 400")
    found = read(path)
    assert found is not None
    assert found[1].holes[-1] == (1, found[0][-1].time, RUN[-1].time)


def test_commits_that_a_killed_writers_log_lost_are_told(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run.mlxtop")
    put = add(recorder, Session())
    for i in range(0, 100, 5):
        commit(recorder, RUN[i : i + 5], put)
    copy = tmp_path / "copy.mlxtop"
    for part in ("", "-wal"):
        shutil.copy(f"{recorder.path}{part}", f"{copy}{part}")
    let_go(recorder)
    wal = Path(f"{copy}-wal")
    data, chance, short, unknown = wal.read_bytes(), random.Random(3), 0, 0
    found = read(copy)
    assert found is not None
    assert (found[0], found[1].damage()) == (RUN[:100], None), "a kill alone damages nothing"
    for _ in range(25):
        hurt = bytearray(data)
        hurt[chance.randrange(len(data) - 2 * (24 + PAGE))] ^= 1 << chance.randrange(8)
        wal.write_bytes(hurt)
        Path(f"{copy}-shm").unlink(missing_ok=True)
        result = read(copy)
        if result is None:
            unknown += 1
            continue
        assert result[0] == RUN[: len(result[0])]
        if len(result[0]) < 100:
            short += 1
            assert is_told(RUN[len(result[0]) : 100], result[1])
            assert " after 0:0" in str(result[1].damage())
    print(f"{short} short and told, {unknown} refused: all of it was in the log")
    assert short > 5


@pytest.mark.parametrize("how", ["flipped", "gone"])
def test_a_bucket_that_is_lost_is_made_of_what_it_held(path: Path, how: str) -> None:
    whole = Recording(path)
    kept = whole.rows(1, 1, 0.0, 700.0)
    whole.close()
    with sqlite3.connect(path) as database:
        where = "WHERE level = 1 AND start BETWEEN 100 AND 300"
        if how == "gone":
            database.execute(f"DELETE FROM block {where}")
        else:
            database.execute(f"UPDATE block SET rows = rows - 1 {where}")
    found = Recording(path)
    found.check()
    assert found.damaged > 0
    assert found.holes == []
    read = found.rows(1, 1, 0.0, 700.0)
    assert (read.time, read.lo, read.hi, read.last) == (kept.time, kept.lo, kept.hi, kept.last)
    found.close()


def test_an_event_that_was_altered_or_is_gone_is_not_shown_and_told(path: Path) -> None:
    recorder, session = Recorder(path.with_name("events.mlxtop"), text=True), Session()
    put = add(recorder, session)
    for n in range(9):
        put(Event(float(n), PeakReset("me", n)))
    commit(recorder, RUN[:20], put)
    end(recorder)
    with sqlite3.connect(recorder.path) as database:
        database.execute("UPDATE event SET data = replace(data, 'me', 'we') WHERE time = 3")
        database.execute("DELETE FROM event WHERE time IN (5, 6)")
    found = Recording(recorder.path)
    found.check()
    assert [event.data.peak for event in found.events(1)] == [0, 1, 2, 4, 7, 8]
    assert (found.holes, found.damage()) == ([], "events in 2 places are lost; the rest was read")
    found.close()


@pytest.mark.usefixtures("processes")
def test_export_report_and_replay_tell_what_is_missing(path: Path) -> None:
    with sqlite3.connect(path) as database:
        start, end = database.execute(
            "SELECT start, end FROM block WHERE level = 0 AND start > 200 LIMIT 1"
        ).fetchone()
        database.execute("UPDATE block SET data = x'00' WHERE level = 0 AND start = ?", (start,))
    told = f"mlxtop: {path} is damaged: samples between 0:0{int(start // 60)}:"
    done = mlxtop("export", str(path), "--format", "csv", "-o", str(path.with_suffix(".csv")))
    assert done.returncode == 1, "a script must not take it for the whole"
    assert done.stderr.startswith(told)
    assert done.stderr.endswith(" are lost; the rest was read.\n")
    lines = path.with_suffix(".csv").read_text().splitlines()
    assert len(lines) - 1 == sum(not start <= sample.time <= end for sample in RUN)
    done = mlxtop("report", str(path))
    assert done.returncode == 0
    assert done.stderr.startswith(told)
    assert "is damaged: samples between 0:0" in path.with_suffix(".html").read_text()
    fleet = ReplayFleet(path)
    fleet.start_check()
    fleet.checker.join(30)
    assert fleet.damage is not None
    assert f"mlxtop: {fleet.damage}".startswith(told)
    # Short enough for a small screen's row.
    assert str(fleet.members()[0].state.warning).startswith("Damaged: samples between 0:0")


def test_a_recording_of_the_first_form_is_read_as_ever(path: Path) -> None:
    with sqlite3.connect(path) as database:
        for table in ("about", "session", "phase", "event", "block", "text"):
            database.execute(f"ALTER TABLE {table} DROP COLUMN crc")
        database.execute("ALTER TABLE block DROP COLUMN after")
        database.execute("ALTER TABLE session DROP COLUMN until")
        database.execute("PRAGMA user_version = 1")
    database.close()
    found = read(path)
    assert found is not None
    assert found[0] == RUN
    assert found[1].damage() is None
    with sqlite3.connect(path) as database:
        (start,) = database.execute("SELECT start FROM block WHERE level = 0 AND start > 200").fetchone()
        database.execute("UPDATE block SET data = x'00' WHERE start = ?", (start,))
    found = read(path)
    assert found is not None
    assert is_told(sorted(set(RUN).difference(found[0])), found[1])
