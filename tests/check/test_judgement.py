"""The most of everything is found, whatever the program resets, and what is not known is not kept."""

import json

import pytest

from mlxtop.check.bounds import Bound, Quantity
from mlxtop.check.judgement import Finding, Judgement, judge
from mlxtop.check.result import Result
from mlxtop.check.witness import Witness
from mlxtop.core.events import CacheCleared, ErrorRaised, PeakReset, StepPeaked
from mlxtop.core.facts import Facts
from tests.check.conftest import Watched

MIB = 2**20


def find(watched: Watched, quantity: Quantity) -> Finding:
    judgement = judge(watched.bounds, [watched.observer])
    return next(finding for finding in judgement.findings if finding.bound.quantity == quantity)


def test_the_most_is_found_between_samples_and_before_every_reset(watched: Watched) -> None:
    watched.phases("run", "train")
    watched.sample(0.1, 10, cache=20)
    assert find(watched, "peak")[1:4:2] == ("kept", 10)
    watched.sample(0.2, 10, high=60, phase=1)
    assert find(watched, "peak").measured == find(watched, "total").measured == 60
    watched.event(0.25, PeakReset("train.py:3", 80))
    assert find(watched, "peak").measured == 80
    # A step that is told late, and was before.
    watched.event(0.15, StepPeaked(140, 5, 7, "run", "train.py:8"))
    watched.sample(0.3, 10, peak=120, phase=1)
    peak = find(watched, "peak")
    assert (peak.verdict, peak.measured) == ("crossed", 140)
    assert peak.crossed == peak.most == (0.15, "run")
    assert peak.step is not None
    assert peak.step.data.step == 7
    watched.event(0.4, CacheCleared("train.py:9", freed=90, times=1, total=130))
    watched.event(0.5, CacheCleared("train.py:9", freed=900, times=30, total=95))
    assert find(watched, "total")[1:4:2] == ("crossed", 130)
    assert find(watched, "total").most == (0.4, "train")
    # Of thirty clearings nobody knows the largest.
    assert find(watched, "cache")[1:4:2] == ("kept", 90)
    assert find(watched, "footprint")[1:4:2] == ("kept", 50)


def test_what_nobody_knows_is_not_kept(watched: Watched) -> None:
    watched.sample(0.1, 10, footprint=-1)
    assert find(watched, "footprint").verdict == "not measured"
    assert find(watched, "buffers").why == "buffers are counted by a trace, and none was written"
    watched.event(0.2, ErrorRaised("MLX is not known.", "trace"))
    assert find(watched, "buffers")[1:5] == (
        "not measured",
        find(watched, "peak").process,
        None,
        "MLX is not known",
    )
    watched.sample(0.3, 10, buffers=101)
    assert find(watched, "buffers").verdict == "crossed"
    assert judge(watched.bounds[:1], [watched.observer]).exit_code == 0
    unseen = judge(watched.bounds[:1], [watched.observer], unseen="process 5 was over too soon")
    assert (unseen.exit_code, unseen.worst[0].why) == (2, "process 5 was over too soon")
    assert judge(watched.bounds, [], unseen="it did not use MLX").verdict == "not measured"
    # What was crossed was crossed, whatever else was not seen.
    assert judge(watched.bounds, [watched.observer], unseen="process 5 was over too soon").exit_code == 1


def test_each_process_is_judged_and_the_worst_is_told() -> None:
    low, high = Watched(1, rank=0), Watched(2, rank=1)
    low.sample(0.1, 40)
    high.sample(0.1, 140)
    result = Result(
        judge(low.bounds[:2], [low.observer, high.observer]), ["python", "train.py"], "train.py",
        "ended with exit code 0", 0,
    )  # fmt: skip
    assert result.exit_code == 1
    assert result.sentence() == "train.py ended with exit code 0; of 2 bounds 2 crossed."
    assert result.table()[1] == ("peak", "140 B", "100 B", "crossed", "rank 1")
    assert result.details() == [
        "peak, total of train.py (rank 1): crossed after 0.1s",
    ]
    told = json.loads(json.dumps(result.to_json()))
    assert [(one["process"]["rank"], one["verdict"]) for one in told["bounds"]] == [
        (0, "kept"), (1, "crossed"), (0, "kept"), (1, "crossed"),
    ]  # fmt: skip


@pytest.mark.parametrize(("code", "exit_code"), [(0, 1), (3, 3), (137, 137)])
def test_the_programs_own_failure_goes_first(watched: Watched, code: int, exit_code: int) -> None:
    watched.sample(0.1, 140)
    judgement = judge(watched.bounds[:1], [watched.observer])
    assert Result(judgement, [], "x", "ended", code).exit_code == exit_code


def test_markdown_is_safe_of_what_a_program_calls_itself(watched: Watched) -> None:
    watched.phases("run", "<img src=x>|")
    watched.sample(0.2, 140, phase=1)
    facts = Facts(device="M<4>", backend="Metal", mlx="0.32.4")
    judgement = judge(watched.bounds[:1], [watched.observer])
    text = Result(judgement, [], "<script>\x1b[2J", "ended", 0, facts).markdown()
    assert "<script>" not in text
    assert "<img" not in text
    assert "\x1b" not in text
    assert text.splitlines()[0] == "### mlxtop check"
    assert "| peak | 140 B | 100 B | crossed |" in text
    assert "- M&lt;4> (Metal), mlx 0.32.4" in text


def test_a_program_is_asked_once_who_holds_its_arrays_and_only_where_they_stay(
    watched: Watched,
) -> None:
    watched.session.subscribe(Witness(watched.bounds, watched.observer))
    for time, active in ((0.0, 90), (1.0, 101), (2.0, 90), (3.0, 101), (4.0, 102)):
        watched.sample(time, active, cache=90, peak=500)
    assert watched.sent == []
    watched.sample(5.0, 102)
    watched.sample(6.0, 103)
    assert [json.loads(line)["type"] for line in watched.sent] == ["census"]


def test_a_judgement_says_the_worst() -> None:
    bound = Bound("peak", 100)
    kept, unknown, crossed = Finding(bound, "kept"), Finding(bound, "not measured"), Finding(bound, "crossed")
    assert Judgement((kept, unknown, crossed)).exit_code == 1
    assert Judgement((kept, unknown)).exit_code == 2
    assert Judgement((kept,)).exit_code == 0
