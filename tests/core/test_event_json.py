"""Events as JSON and back."""

import json

import pytest

from mlxtop.core.budget import Budget
from mlxtop.core.census import Census, Holding
from mlxtop.core.event_json import from_json, to_json
from mlxtop.core.events import (
    EVENT_TYPES,
    KINDS,
    PASSING,
    BudgetChanged,
    CacheCleared,
    CensusTaken,
    ErrorRaised,
    EventData,
    FactsRead,
    GarbageCollected,
    GenerationFinished,
    LimitChanged,
    LossReported,
    MarkAdded,
    PeakReset,
    PhaseChanged,
    ProgressMade,
    SessionEnded,
    StepPeaked,
    SystemRead,
    TicksMissed,
    TraceStarted,
    TraceStopped,
    WorkloadDone,
)
from mlxtop.core.facts import Facts
from mlxtop.core.machine import System

HOLDING = Holding("weights", 8, (2, 1), "float32", "Model: a")
TOLD: list[EventData] = [
    FactsRead(Facts("Apple M3", "Metal", memory=2**34, argv=("a", "b"), model="demo")),
    PhaseChanged("prefill", 12),
    PhaseChanged("idle"),
    ProgressMade("load", 1, 2),
    LimitChanged("cache", None, 7, "train.py:3", asked=8, default=9, times=4),
    LimitChanged("wired", 7, 7, "program", found=True),
    CacheCleared("keyboard", -3, 2),
    CacheCleared("keyboard"),
    CacheCleared("keyboard", 5, 2, 30),
    PeakReset("keyboard", 9),
    StepPeaked(9, 5, 3, "train", "train.py:7", 40, "async"),
    StepPeaked(9, 5, 0, "run"),
    GarbageCollected("keyboard", 3, None),
    CensusTaken(Census(active=9, holdings=(HOLDING,))),
    TraceStarted("/home/me/a trace.mlxtrace", "keyboard"),
    TraceStopped("/home/me/a trace.mlxtrace", "mlxtop"),
    MarkAdded("here", "keyboard", 1, 2, 3, 4),
    GenerationFinished(9, 8, 0.5, 40.0, 900.0, "stop", context=3),
    BudgetChanged(Budget(99, "flag", "device"), 80, 0, 81),
    BudgetChanged(None),
    SystemRead(System(pressure="normal", swap_used=0)),
    LossReported(120, 2.3125, tps=540.5),
    LossReported(119, None, validation=True),
    ErrorRaised("no such model", "load"),
    TicksMissed(3),
    WorkloadDone(),
    SessionEnded("ended by SIGTERM"),
]


@pytest.mark.parametrize("data", TOLD, ids=[type(data).__name__ for data in TOLD])
def test_every_event_comes_back_as_it_was(data: EventData) -> None:
    assert from_json(KINDS[type(data)], json.loads(json.dumps(to_json(data)))) == data


def test_all_events_that_are_told_are_tried() -> None:
    assert {type(data) for data in TOLD} == set(KINDS)
    assert set(EVENT_TYPES) - set(KINDS) == set(PASSING) - {ProgressMade}


def test_the_words_of_mlxtop_0_1_are_read() -> None:
    limit = {"knob": "cache", "old": 1, "new": 2, "who": "flag", "asked": 2}
    assert from_json("limit", limit) == LimitChanged("cache", 1, 2, "flag", asked=2)
    assert from_json("clear", {"who": "keyboard", "freed": 5, "count": 3}) == CacheCleared("keyboard", 5, 3)


def test_what_is_not_known_here_is_passed_over() -> None:
    assert from_json("splendid", {}) is None
    assert from_json("phase", {"phase": "idle", "mood": "good"}) == PhaseChanged("idle")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("limit", {"knob": "cash", "old": 1, "new": 2, "who": "flag"}),
        ("limit", {"knob": "cache", "old": 1, "new": 2.5, "who": "flag"}),
        ("limit", {"knob": "cache", "old": 1, "who": "flag"}),
        ("mark", {"name": 7, "who": "flag", "active": 1, "cache": 1, "peak": 1, "tokens": 1}),
        ("reset", {"who": "flag", "peak": -1}),
        ("generation", {"tokens": 1}),
        ("budget", {"budget": "12G", "source": "flag", "against": "footprint"}),
        ("budget", {"budget": 12, "source": "flag", "against": "the wall"}),
        ("system", {"pressure": "splendid"}),
        ("census", {"active": "all"}),
        ("loss", {"iteration": 1, "loss": "low"}),
        ("loss", {"iteration": 1, "loss": float("nan")}),
        ("error", []),
        ("error", {"message": None}),
        ("facts", None),
    ],
)
def test_what_makes_no_sense_is_refused(kind: str, data: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_json(kind, data)


def test_text_becomes_safe_and_short() -> None:
    found = from_json("error", {"message": "a\x1b[2Jb\nc" + "x" * 5_000})
    assert isinstance(found, ErrorRaised)
    assert "\x1b" not in found.message
    assert "\n" not in found.message
    assert len(found.message) == 1_000
