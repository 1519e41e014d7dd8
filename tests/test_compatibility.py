"""What mlxtop 0.1.0 wrote and said is understood: a recording of its first form, and one agent's own words.

Both files were made by 0.1.0: `mlxtop --headless --cache-limit 2M --record`, and an agent whose program marked,
named a phase and set a limit, and whose viewer set a limit, cleared, reset, collected and counted.
"""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlxtop.cli.main import cli
from mlxtop.core.commands import (
    AddMark,
    ClearCache,
    Collect,
    ResetPeak,
    SetControl,
    SetLimit,
    SetTrace,
    TakeCensus,
)
from mlxtop.core.events import CacheCleared, GarbageCollected, GenerationFinished, PeakReset
from mlxtop.core.sample import Sample
from mlxtop.ipc import protocol
from mlxtop.recording.reader import Recording
from mlxtop.sessions import messages
from mlxtop.sessions.messages import Hello
from mlxtop.sessions.remote import RemoteSession
from mlxtop.sessions.replay import ReplayFleet

DATA = Path(__file__).with_name("data")
MIB = 2**20


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A copy: SQLite may write beside what it reads."""
    return Path(shutil.copy(DATA / "recording-0.1.0.mlxtop", tmp_path / "old.mlxtop"))


def test_a_recording_of_0_1_0_is_read_whole(recording: Path) -> None:
    with sqlite3.connect(recording) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)
    old = Recording(recording)
    (session,) = old.sessions
    assert session.facts.mlxtop == "0.1.0"
    assert len(list(old.samples(session.id))) == 97
    assert len(old.events(session.id)) == 53
    old.check()
    assert old.damage() is None


def test_a_recording_of_0_1_0_is_replayed(recording: Path) -> None:
    fleet = ReplayFleet(recording)
    (session,) = fleet.members()
    limit = session.state.limits["cache"]
    assert (limit.value, limit.source) == (2 * MIB, "flag")
    assert session.state.generations == session.timeline.count(GenerationFinished) > 0
    latest = session.history.latest
    assert isinstance(latest, Sample)
    assert session.state.run_peak >= latest.peak > latest.active > 0
    fleet.playhead.seek(0.0)
    assert session.state.generations == 0


@pytest.mark.parametrize(
    "words",
    [
        ("report", "-o", "page.html"),
        ("export", "--format", "csv", "-o", "out.csv"),
        ("export", "--format", "jsonl", "-o", "out.jsonl"),
    ],
    ids=lambda words: words[-1],
)
def test_commands_take_a_recording_of_0_1_0(
    recording: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recording.parent)
    done = CliRunner().invoke(cli, [words[0], recording.name, *words[1:]], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert (recording.parent / words[-1]).stat().st_size > 1_000


def replayed() -> tuple[RemoteSession, list[bytes]]:
    """The session that an agent of 0.1.0 makes, and what is sent to it."""
    sent: list[bytes] = []
    first, *others = [
        json.loads(line) for line in (DATA / "agent-0.1.0.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert messages.disagreement(first) is None
    hello = messages.parse(first)
    assert isinstance(hello, Hello)
    session = RemoteSession(hello, sent.append, controls=False)
    for message in others:
        parsed = messages.parse(message)
        assert parsed is not None, message
        assert not isinstance(parsed, Hello)
        session.handle_message(parsed)
    return session, sent


def test_an_agent_of_0_1_0_is_understood() -> None:
    session, _ = replayed()
    state, timeline = session.state, session.timeline
    limit = state.limits["cache"]
    assert (limit.value, limit.source, limit.default) == (5 * MIB, "keyboard", 32 * MIB)
    assert [mark.name for mark in state.marks] == ["start", "warm"]
    assert (state.phase, session.phases) == ("train", ["run", "train"])
    assert state.census is not None
    assert state.census.active == 675_840
    for kind in (CacheCleared, PeakReset, GarbageCollected):
        event = timeline.latest(kind)
        assert event is not None
        assert event.data.source == "keyboard"
    latest = session.history.latest
    assert latest is not None
    assert latest.steps > 100
    assert session.command == ["python", "train.py"]


def test_an_agent_of_0_1_0_hears_words_that_it_knows() -> None:
    session, sent = replayed()
    session.submit(SetControl(True))
    session.submit(SetLimit("cache", 7 * MIB, "keyboard"))
    session.submit(ClearCache("keyboard"))
    session.submit(ResetPeak("keyboard"))
    session.submit(AddMark("here", "keyboard"))
    session.submit(Collect("keyboard"))
    session.submit(TakeCensus())
    # It cannot trace, and would drop a viewer that asked for it.
    session.submit(SetTrace(True, "keyboard"))
    assert SetTrace not in session.capabilities
    assert not session.counts_for_observers
    greeting, *heard = [json.loads(line) for line in sent]
    # A number that an agent of 0.1.0 passes over.
    assert all(type(each.pop("id")) is int for each in heard)
    assert (greeting["protocol"], greeting["role"]) == (1, "watch")
    assert heard == [
        {"type": "limit", "knob": "cache", "bytes": 7 * MIB, "who": "keyboard"},
        {"type": "clear", "who": "keyboard"},
        {"type": "reset", "who": "keyboard"},
        {"type": "mark", "name": "here", "who": "keyboard"},
        {"type": "collect", "who": "keyboard"},
        {"type": "census"},
    ]
    assert json.loads(protocol.hello("observe"))["role"] == "look"
    assert json.loads(protocol.hello("control"))["role"] == "watch"
