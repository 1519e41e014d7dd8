"""What is said, of answers whose numbers are known."""

from dataclasses import replace

from mlxtop.cli.fit_text import WIDTH, text
from mlxtop.core.budget import Budget
from mlxtop.core.facts import Facts
from mlxtop.fit.answer import Answer
from mlxtop.fit.extrapolate import Estimate, MemoryEstimate
from mlxtop.fit.measure import MeasuredRun, Settings
from mlxtop.fit.study import Row, Study
from mlxtop.fit.verdict import judge

GIB = 2**30
BUDGET = Budget(10 * GIB, "from --budget")
FACTS = Facts("Apple M3 Max", "Metal", mlx="0.32.4", mlx_lm="0.32.2")


def need(gib: float, origin: int | None = None, at_most: bool = False, cached: float = 0.0) -> MemoryEstimate:
    margin = 0 if origin is None else GIB // 8
    size = round(gib * GIB)
    return MemoryEstimate(
        Estimate(size - round(cached * GIB), margin), Estimate(size, margin), Estimate(size, margin),
        Estimate(GIB, margin), origin, at_most,
    )  # fmt: skip


def answer(*needs: tuple[int, MemoryEstimate | None], longest: int | None = None) -> Answer:
    rows = tuple(
        Row(context, found, judge(found, BUDGET), MeasuredRun(context, stopped="time"))
        for context, found in needs
    )
    study = Study(rows, longest)
    return Answer(
        "org/some-70b",
        "llama, 80 layers, 4 bits and bfloat16",
        5 * GIB,
        BUDGET,
        Settings(),
        GIB,
        FACTS,
        65536,
        study,
    )


def flat(text: str) -> str:
    return " ".join(text.split())


def test_all_fits() -> None:
    told = answer((4096, need(6)), (8192, need(7)))
    assert told.fits
    assert told.sentence() == "org/some-70b fits in 10.00 GiB with 8,192 tokens, 3.00 GiB left."


def test_some_fits_and_how_long_a_context_would() -> None:
    told = answer((4096, need(6)), (65536, need(12, origin=8192)), longest=30208)
    assert not told.fits
    assert told.sentence() == (
        "org/some-70b fits in 10.00 GiB with 4,096 tokens, 4.00 GiB left; 65,536 tokens (extrapolated) "
        "exceed it by 2.00 GiB; up to about 30,208 tokens fit with 5 % left."
    )
    lines = text(told).splitlines()
    assert any(line.startswith("~65,536  12.00 GiB") and line.endswith("does not fit") for line in lines)
    assert "~65,536: extrapolated from 8,192 tokens (the time limit was reached), active ± 128.0 MiB" in flat(
        text(told)
    )


def test_none_fits_and_the_cache_is_in_the_way() -> None:
    told = answer((4096, need(11, cached=4)))
    assert told.sentence() == (
        "org/some-70b does not fit in 10.00 GiB: 4,096 tokens exceed it by 1.00 GiB; "
        "--cache-limit 2560M makes room for 4,096."
    )


def test_what_was_not_run_is_a_dash_and_no_answer() -> None:
    told = answer((4096, None), (32768, None))
    assert not told.fits
    assert (
        told.sentence()
        == "Cannot tell whether org/some-70b fits in 10.00 GiB: too few steps of it could be run."
    )
    assert text(told).count("—") == 2 * 5 + 1
    assert "— 4,096, 32,768: too few prefill steps were run" in flat(text(told))
    assert told.to_json()["contexts"][0]["peak_active"] is None


def test_a_budget_within_the_error_is_no_answer() -> None:
    told = answer((65536, need(9.95, origin=8192)))
    assert "the budget is within the margin of error" in text(told)
    assert told.to_json()["contexts"][0]["verdict"] == "cannot tell"


def test_a_bound_says_that_it_is_one() -> None:
    shown = text(answer((65536, need(8, origin=8192, at_most=True))))
    assert "≤65,536" in shown
    assert "at most: a sliding window" in shown


def test_nothing_is_wider_than_a_terminal() -> None:
    told = answer((1024, need(1)), (131072, need(100, origin=8192, at_most=True)), (262144, None))
    assert max(map(len, text(told).splitlines())) <= WIDTH
    assert "contexts of up to 65,536 tokens" in text(told)


def test_what_the_process_had_before_the_model_is_told_apart() -> None:
    told = replace(answer((4096, need(6))), before=80 * 2**20)
    assert "each footprint includes 80.0 MiB from before the weights were loaded" in flat(text(told))
    assert told.to_json()["footprint_before"] == 80 * 2**20


def test_without_a_terminal_nothing_is_wrapped() -> None:
    shown = text(answer((131072, need(100, origin=8192, at_most=True))), None)
    assert "then 16 tokens, cache limit 1.00 GiB" in shown
    assert not any(line.startswith("  ") and "sliding" not in line for line in shown.splitlines()[:3])


def test_markdown_is_a_table_with_the_sentence_first() -> None:
    told = answer((4096, need(6)), (65536, need(12, origin=8192)))
    lines = told.markdown().splitlines()
    assert lines[0] == f"**{told.sentence()}**"
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 4
    assert {line.count("|") for line in table} == {8}
