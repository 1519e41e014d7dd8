"""What `--fail-if` takes, and when it holds."""

from pathlib import Path

import pytest

from mlxtop.core.errors import UsageError
from mlxtop.core.limits import MIB
from mlxtop.diff.condition import Condition, judge, parse
from tests.diff.made import compared


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("peak>+5%", Condition("peak>+5%", "whole", "peak", True, True, True, 0.05)),
        ("floor>+64M", Condition("floor>+64M", "whole", "floor", True, True, False, 64 * MIB)),
        ("decode.peak > +5 %", Condition("decode.peak > +5 %", "decode", "peak", True, True, True, 0.05)),
        ("steps<-3%", Condition("steps<-3%", "whole", "steps", False, True, True, -0.03)),
        ("steps<30.5", Condition("steps<30.5", "whole", "steps", False, False, False, 30.5)),
        ("peak>12G", Condition("peak>12G", "whole", "peak", True, False, False, 12 * 2**30)),
        ("a.b c.True_Peak>1MB", Condition("a.b c.True_Peak>1MB", "a.b c", "true-peak", True, False, False, 10**6)),
        ("buffers>+1000", Condition("buffers>+1000", "whole", "buffers", True, True, False, 1000)),
    ],
)  # fmt: skip
def test_conditions(text: str, read: Condition) -> None:
    assert parse(text) == read


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no condition"),
        ("peak", "is no condition"),
        ("peak=5%", "is no condition"),
        ("peek>+5%", "there are peak, true-peak, total, footprint, floor, cache, buffers"),
        ("peak>5%", "write a sign before it"),
        ("peak>+", "has no bound"),
        ("peak>+a lot", "a size such as 64M"),
        ("peak>unlimited", "a size such as 64M"),
        ("peak>default", "a size such as 64M"),
        ("steps<-3M", "steps is compared with a number"),
        ("steps<-1e9%", "steps is compared with a number"),
        ("steps<-²%", "steps is compared with a number"),
    ],
)
def test_what_is_none_is_one_sentence(text: str, why: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(text)
    assert why in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize(
    ("b", "condition", "holds"),
    [
        ("unchanged", "peak>+0%", False),
        ("unchanged", "peak<+5%", True),
        ("unchanged", "peak>1K", True),
        ("unchanged", "peak>1T", False),
        ("unchanged", "steps<1000000", True),
        ("higher_peak", "peak>+9%", True),
        ("higher_peak", "peak>+11%", False),
        ("higher_peak", "prefill.peak>+9%", True),
        ("leak", "floor>+4M", True),
        ("leak", "floor>+9M", False),
        ("leak", "floor>+64M", False),
        # All of the interval of 2 % to either side must be beyond.
        ("slower_decode", "decode.steps<-7%", True),
        ("slower_decode", "decode.steps<-9.5%", False),
        ("slower_decode", "steps>+1%", False),
        ("unchanged", "buffers>+1", None),
        ("unchanged", "decod.peak>+1%", None),
        ("unchanged", "churn>+1%", None),
        ("unchanged", "decod.peak>1K", None),
    ],
)
def test_when_it_holds(runs: Path, b: str, condition: str, holds: bool | None) -> None:
    found = judge(parse(condition), compared(runs / "unchanged.mlxtop", runs / f"{b}.mlxtop"))
    assert found.holds is holds, found.why
    assert found.why


def test_a_part_that_nobody_has_is_told_with_those_there_are(runs: Path) -> None:
    found = judge(parse("decod.peak>+1%"), compared(runs / "unchanged.mlxtop", runs / "leak.mlxtop"))
    assert found.why.startswith("neither has a part 'decod'; there are whole,")
