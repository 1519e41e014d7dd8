"""Samples that come faster than they are kept: what is left out, and what never may be."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.core.events import LimitChanged, MarkAdded, PeakReset, PhaseChanged
from mlxtop.follow import parser
from mlxtop.follow.readings import SPACING
from mlxtop.follow.thinning import LEAST
from mlxtop.sessions.follow_fleet import FollowFleet
from tests.follow.test_parser import MIB, readings, swift
from tests.follow.test_session import followed, line, log

MANY = 8 * LEAST


def rows(form: str, count: int, step: float = SPACING / 10) -> str:
    """Samples in a row. Active memory goes up and down between them, and its peak rises."""
    told = []
    for i in range(count):
        active, cache, peak = 500 * MIB + i * 7919 % 1000, 30 * MIB + i % 7, 600 * MIB + i
        if form == "swift":
            told.append(swift(active, cache, peak) + "\n")
        elif form == "json":
            told.append(
                json.dumps(
                    {"type": "sample", "time": i * step, "active": active, "cache": cache, "peak": peak}
                )
                + "\n"
            )
        else:
            clock = {"t": round(i * step, 6)} if form == "clock" else {}
            told.append(line(active, peak, cache, phase="decode", **clock))
    return "".join(told)


@pytest.mark.parametrize("form", ["clock", "arrival", "json", "swift"])
def test_of_a_flood_the_last_and_the_highest_are_parsed(form: str) -> None:
    log = rows(form, 1000)
    found, told = readings(log), readings_of_each(log)
    assert len(found) < len(told) / 3
    assert (found[0], found[-1]) == (told[0], told[-1])
    assert max(r.active for r in found) == max(r.active for r in told)
    if form in ("clock", "json"):
        # No millisecond loses its highest.
        cells = {int(r.time / SPACING) for r in told if r.time is not None}
        assert len({int(r.time / SPACING) for r in found if r.time is not None}) >= len(cells) - 1
        assert len(found) <= 2 * len(cells) + 2


def readings_of_each(text: str) -> list[parser.Reading]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parser, "thinned", lambda text, _: text)
        return readings(text)


def test_samples_that_are_far_enough_apart_are_all_parsed() -> None:
    log = rows("clock", MANY, 2 * SPACING)
    assert readings(log) == readings_of_each(log)


SEGMENTS = {
    **{form: rows(form, MANY) for form in ("clock", "arrival", "json", "swift")},
    "late": rows("clock", MANY) + rows("clock", MANY // 2),
    "text": "nothing about memory\nActive: no\n",
    "growth": f"Growth\n{rows('swift', MANY)}",
    "half a block": "Active: 500M         (524288000)\nCache:  30M          (31457280)\n"
    + rows("swift", MANY),
    "marks": "".join(line(mark=f"step {i}") for i in range(MANY)),
    "mark": line(mark="here"),
    "phase": line(phase="prefill"),
    "limits": "".join(line(cacheLimit=20 * MIB + i) for i in range(MANY)),
    "reset": "".join(line(peak=900 * MIB - i) for i in range(MANY)),
    "sessions": "".join(line(i, session=f"app{i % 3}") for i in range(MANY)),
    "wrong": "".join(f'mlxtop {{"active":{i}.5,"cache":1}}\n' for i in range(MANY)),
    "wrong blocks": swift(500 * MIB, 30 * MIB, 600 * MIB).replace("500M", "7M") + "\n" * MANY,
    "not ascii": "".join(f'mlxtop {{"active":{i},"phase":"Größe"}}\n' for i in range(MANY)),
    "end": "no line end",
}


def told(fleet: FollowFleet) -> list[object]:
    """All that must not depend on which samples were parsed."""
    kinds = (MarkAdded, PhaseChanged, LimitChanged, PeakReset)
    return [
        log(fleet, "out"),
        [
            (
                member.label,
                member.ended,
                member.history.latest and member.history.latest[1:],
                max(member.history.columns(0, 1e9, 1, ("active",), ()).hi["active"]),
                member.state.run_peak,
                [[e.data for e in member.timeline.between(kind, 0, 1e12)] for kind in kinds],
            )
            for member in fleet.members()
        ],
    ]


@given(st.lists(st.sampled_from(sorted(SEGMENTS)), min_size=1, max_size=6))
def test_nothing_else_is_left_out(names: list[str]) -> None:
    text = "".join(SEGMENTS[name] for name in names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parser, "thinned", lambda text, _: text)
        whole = told(followed(text))
    assert told(followed(text)) == whole


def test_a_flood_in_pieces_is_a_flood() -> None:
    data = rows("swift", 1000)
    (member,) = followed(*(data[i : i + 4095] for i in range(0, len(data), 4095))).members()
    assert member.history.latest is not None
    assert member.history.latest.peak == 600 * MIB + 999
    assert max(member.history.columns(0, 1e9, 1, ("active",), ()).hi["active"]) == 500 * MIB + 999
