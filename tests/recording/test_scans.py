"""What a replay reads of its file again and again: nothing that it knows already."""

from pathlib import Path

from mlxtop.recording.recorder import Recorder
from mlxtop.sessions.replay import ReplayFleet
from tests.recording.source import Session, add, busy_run, commit, end


def test_what_a_file_says_as_a_whole_is_read_once_for_each_of_its_states(tmp_path: Path) -> None:
    recorder = Recorder(path := tmp_path / "run.mlxtop")
    put = add(recorder, Session())
    samples = list(busy_run(10, 120.0))
    commit(recorder, samples[:600], put)
    fleet = ReplayFleet(path)
    (member,) = fleet.members()
    queries: list[str] = []
    fleet.recording._database.set_trace_callback(queries.append)
    first = member.history.count, member.state
    assert first[0] == 600
    assert any("FROM block" in query for query in queries)
    queries.clear()
    assert (member.history.count, member.state) == first
    assert not any("FROM block" in query for query in queries)
    # What has come meanwhile is seen.
    commit(recorder, samples[600:], put)
    assert member.history.count == 1_200
    fleet.recording.close()
    end(recorder)
