"""What is said of training, of answers whose numbers are known."""

from dataclasses import replace

from mlxtop.cli.fit_text import WIDTH, text
from mlxtop.core.budget import Budget
from mlxtop.core.facts import Facts
from mlxtop.fit.extrapolate import Estimate
from mlxtop.fit.measure import Peak
from mlxtop.fit.training.answer import TrainingAnswer
from mlxtop.fit.training.extrapolate import TrainingEstimate
from mlxtop.fit.training.measure import MeasuredSteps, Shape
from mlxtop.fit.training.study import Row, Study, Why
from mlxtop.fit.verdict import judge
from mlxtop.inference.finetuning import Recipe, Sizes

GIB = 2**30
BUDGET = Budget(12 * GIB, "from --budget")
FACTS = Facts("Apple M3 Max", "Metal", mlx="0.32.4", mlx_lm="0.32.2")
SIZES = Sizes(5 * GIB, GIB // 4, GIB // 2)


def row(
    shape: Shape, gib: float | None, checkpoint: bool = False, origin: Shape | None = None, why: Why = ""
) -> Row:
    size, margin = round((gib or 0) * GIB), GIB // 8 if origin else 0
    figure = Estimate(size, margin)
    found = None if gib is None else TrainingEstimate(figure, figure, figure, origin)
    peak = Peak(size, size, size)
    run = None if why else MeasuredSteps(shape, train=peak, validate=peak._replace(active=size // 2))
    return Row(shape, checkpoint, found, judge(found, BUDGET), run, why)


def answer(*rows: Row, longest: int | None = None) -> TrainingAnswer:
    return TrainingAnswer(
        "org/some-8b", "llama, 32 layers, 4 bits and bfloat16", Recipe(), (16, 32), SIZES, BUDGET, GIB, False, FACTS,
        4096, Study(rows, longest),
    )  # fmt: skip


SMALL, LARGE = Shape(4, 1024), Shape(4, 2048)


def test_the_largest_that_fits_is_named() -> None:
    told = answer(row(Shape(1, 1024), 7), row(SMALL, 9))
    assert told.fits
    assert told.sentence() == (
        "Training org/some-8b by LoRA of rank 8 fits in 12.00 GiB with batches of 4 × 1,024 tokens, 3.00 GiB left."
    )


def test_what_does_not_fit_and_what_gradient_checkpointing_makes_of_it() -> None:
    told = answer(row(SMALL, 9), row(LARGE, 14), row(LARGE, 9.1, checkpoint=True), longest=1600)
    assert not told.fits
    assert told.sentence().endswith(
        "; batches of 4 × 2,048 tokens exceed it by 2.00 GiB; with --grad-checkpoint they need 9.10 GiB; "
        "without it 4 × 1,600 fit with 5 % left."
    )
    lines = text(told).splitlines()
    assert any(line.split()[:6] == ["4", "×", "2,048", "yes", "9.10", "GiB"] for line in lines)
    assert "ckpt: with gradient checkpointing (--grad-checkpoint)" in lines


def test_nothing_fits_at_all() -> None:
    told = answer(row(LARGE, 14), row(LARGE, 13, checkpoint=True))
    assert told.sentence() == (
        "Training org/some-8b by LoRA of rank 8 does not fit in 12.00 GiB: batches of 4 × 2,048 tokens exceed it "
        "by 2.00 GiB; with --grad-checkpoint they still need 13.00 GiB."
    )


def test_what_was_not_run_says_why() -> None:
    told = answer(row(SMALL, 9, origin=Shape(1, 512), why="time"), row(LARGE, None, why="memory"))
    shown = " ".join(text(told).split())
    assert "~4 × 1,024: extrapolated from 1 × 512 (there was no time to run it), active ± 128.0 MiB" in shown
    assert "— 4 × 2,048: its memory might not be free, and too little else was run; free more memory" in shown
    assert told.to_json()["batches"][1]["peak_active"] is None
    assert told.to_json()["batches"][0]["extrapolated_from"] == {"batch": 1, "seq": 512}
    untold = answer(row(LARGE, None, why="time"))
    assert (
        untold.sentence() == "Cannot tell whether training org/some-8b by LoRA of rank 8 fits in 12.00 GiB."
    )


def test_an_interrupted_study_gives_no_advice() -> None:
    shown = text(answer(row(LARGE, None, why="interrupt")))
    assert "— 4 × 2,048: interrupted, and too little else was run\n" in shown


def test_the_parts_are_the_whole() -> None:
    (told,) = answer(row(SMALL, 9)).to_json()["batches"]
    assert sum(told["parts"].values()) == told["peak_total"]["value"] == 9 * GIB
    assert told["parts"]["gradients"] == SIZES.trained
    early = answer(row(SMALL, 5.6))
    assert early.to_json()["batches"][0]["parts"]["gradients"] < SIZES.trained


def test_a_peak_of_validation_says_so() -> None:
    high = row(SMALL, 9)
    assert high.run is not None
    high.run.validate = high.run.train._replace(active=10 * GIB)
    assert "4 × 1,024: the peak is validation's" in text(answer(high))


def test_nothing_is_wider_than_a_terminal() -> None:
    long = Shape(64, 131072)
    told = replace(
        answer(row(long, 900.5, origin=LARGE, why="memory"), row(long, None, True, why="time")), before=1
    )
    assert max(map(len, text(told).splitlines())) <= WIDTH
    assert "contexts of up to 4,096 tokens" in text(told)


def test_markdown_is_a_table_with_the_sentence_first() -> None:
    told = answer(row(SMALL, 9))
    lines = told.markdown().splitlines()
    assert lines[0] == f"**{told.sentence()}**"
    assert {line.count("|") for line in lines if line.startswith("|")} == {8}
