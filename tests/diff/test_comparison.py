"""What is told of two runs: planted regressions, and nothing else."""

import json
from pathlib import Path

import pytest

from mlxtop.core.limits import MIB
from mlxtop.diff.export import to_json
from mlxtop.diff.measures import MEASURES
from mlxtop.diff.read import read
from mlxtop.diff.story import sentence
from tests.diff.made import compared, told


def test_a_run_does_not_differ_from_itself(runs: Path) -> None:
    found = compared(runs / "unchanged.mlxtop", runs / "unchanged.mlxtop")
    assert found.changed == ()
    assert sentence(found) == "Nothing changed beyond noise."
    assert {"whole", "load", "prefill", "decode"} <= {row.part for row in found.rows}


def test_its_lines_of_json_tell_the_same(runs: Path) -> None:
    recording, lines = read(runs / "unchanged.mlxtop"), read(runs / "unchanged.jsonl")
    assert recording.parts == lines.parts
    assert (recording.kind, lines.kind) == ("recording", "stream")
    assert recording.facts == lines.facts


def test_a_leak_of_8_mib_is_found(runs: Path) -> None:
    found = compared(runs / "unchanged.mlxtop", runs / "leak.mlxtop")
    floor = found.row("whole", "floor")
    assert floor is not None
    assert floor.found == "more"
    assert floor.difference is not None
    assert 5 * MIB < floor.difference <= 8 * MIB
    assert "floor more" in told(found)["decode"]
    assert "B's" in sentence(found)
    assert "floor is" in sentence(found)
    assert not any(name.startswith(("footprint", "cache", "steps")) for name in told(found)["whole"])


def test_a_peak_that_is_10_percent_higher_is_found(runs: Path) -> None:
    found = compared(runs / "unchanged.mlxtop", runs / "higher_peak.mlxtop")
    assert told(found) == {"whole": {"peak more"}, "prefill": {"peak more"}}
    row = found.row("whole", "peak")
    assert row is not None
    assert row.relative(row.difference) == pytest.approx(0.1, rel=0.01)
    assert "(10.0 %) higher, in" in sentence(found)


def test_a_slower_decode_is_found(runs: Path) -> None:
    found = compared(runs / "unchanged.mlxtop", runs / "slower_decode.mlxtop")
    assert told(found) == {"whole": {"steps less"}, "decode": {"steps less"}}
    assert sentence(found) == "B's steps/s is 10.0 % lower, in decode; nothing else changed beyond noise."


def test_better_is_told_as_well(runs: Path) -> None:
    found = compared(runs / "slower_decode.mlxtop", runs / "unchanged.mlxtop")
    assert "11.1 % higher" in sentence(found)


def test_everything_is_in_the_json(runs: Path) -> None:
    found = json.loads(json.dumps(to_json(compared(runs / "unchanged.mlxtop", runs / "leak.mlxtop"))))
    assert set(found) == {"type", "sentence", "a", "b", "rows", "facts", "conditions"}
    assert {row["measure"] for row in found["rows"]} <= set(MEASURES)
    floor = next(row for row in found["rows"] if (row["part"], row["measure"]) == ("whole", "floor"))
    assert floor["low"] < floor["difference"] < floor["high"]
    assert floor["b"] - floor["a"] == floor["difference"]
    assert floor["relative"] == floor["difference"] / floor["a"]
    buffers = next(row for row in found["rows"] if row["measure"] == "buffers")
    assert (buffers["found"], buffers["why"]) == ("not comparable", "only a trace counts buffers")
