"""Studies of a trainee whose every number is known."""

import time
from dataclasses import dataclass, field

import pytest

from mlxtop.core.budget import Budget
from mlxtop.fit.measure import Peak
from mlxtop.fit.training.extrapolate import extrapolated, neighbours
from mlxtop.fit.training.measure import MeasuredSteps, Shape
from mlxtop.fit.training.study import Row, Study, Trainee, check_sizes, study
from mlxtop.inference.finetuning import Recipe, Sizes
from mlxtop.inference.sizes import SizeError

MIB = 2**20
SIZES = Sizes(100 * MIB, MIB, 2 * MIB)
TOKEN, SCORE = 40_000, 30
"""Bytes of activations for each token, and for each pair of tokens."""
NO_LIMIT = Budget(2**50, "")


def need(shape: Shape, checkpoint: bool = False) -> int:
    grown = TOKEN * shape.tokens + SCORE * shape.most
    return max(SIZES.kept + 2 * SIZES.trained, SIZES.kept + (grown // 2 if checkpoint else grown))


@dataclass(slots=True)
class Known(Trainee):
    """A trainee that needs what `need` says, and a hundredth of a second for each token."""

    ran: list[tuple[Shape, bool]] = field(default_factory=list)
    pace: float = 0.0
    interrupt: Shape | None = None

    def measure(self, shape: Shape, checkpoint: bool) -> MeasuredSteps:
        if shape == self.interrupt:
            raise KeyboardInterrupt
        self.ran.append((shape, checkpoint))
        active = need(shape, checkpoint)
        peak = Peak(active, active + MIB, active + 50 * MIB)
        return MeasuredSteps(shape, peak, peak, self.pace * shape.tokens)


def known(room: int = 2**50, within: float = 1e6, **options: object) -> Known:
    until = time.monotonic() + within
    return Known(None, 100, Recipe(), SIZES, room, until, lambda _shape, _how: None, **options)  # type: ignore[arg-type]


def only(found: Study) -> Row:
    (row,) = found.rows
    return row


def test_what_may_be_run_is_measured_and_little_else() -> None:
    trainee = known()
    row = only(study(trainee, [Shape(4, 2048)], False, NO_LIMIT))
    assert row.need is not None
    assert (row.need.active.value, row.need.origin) == (need(Shape(4, 2048)), None)
    assert [shape for shape, _ in trainee.ran] == [Shape(1, 128), Shape(4, 2048)]


def test_nothing_is_run_that_could_take_more_than_the_room() -> None:
    room = need(Shape(2, 1024))
    trainee = known(room)
    row = only(study(trainee, [Shape(4, 2048)], True, NO_LIMIT))
    assert row.why == "memory"
    assert max(need(shape) for shape, _ in trainee.ran) <= room
    assert row.need is not None
    assert row.need.active.value == pytest.approx(need(Shape(4, 2048), True), rel=0.01)
    assert row.need.origin is not None
    assert row.need.origin.tokens >= 512


def test_what_there_is_no_time_for_is_extrapolated() -> None:
    trainee = known(within=100, pace=0.01)
    row = only(study(trainee, [Shape(4, 4096)], False, NO_LIMIT))
    assert row.why == "time"
    assert row.need is not None
    assert row.need.active.value == pytest.approx(need(Shape(4, 4096)), rel=0.01)
    assert row.need.active.margin < 0.25 * row.need.active.value
    assert row.verdict.word == "fits"


def test_without_time_for_four_shapes_nothing_can_be_told() -> None:
    row = only(study(known(within=0.001, pace=1), [Shape(4, 4096)], True, NO_LIMIT))
    assert (row.need, row.verdict.word, row.why) == (None, "cannot tell", "time")


def test_what_does_not_fit_is_tried_with_gradient_checkpointing() -> None:
    middle = (need(Shape(4, 1024)) + need(Shape(4, 1024), True)) // 2 + 50 * MIB
    found = study(known(), [Shape(4, 1024), Shape(1, 128)], False, Budget(middle, ""))
    assert [(row.shape, row.checkpoint, row.verdict.word) for row in found.rows] == [
        (Shape(1, 128), False, "fits"),
        (Shape(4, 1024), False, "does not fit"),
        (Shape(4, 1024), True, "fits"),
    ]
    assert found.longest is not None
    assert 256 <= found.longest < 1024
    assert need(Shape(4, found.longest)) + 50 * MIB <= 0.95 * middle


def test_ctrl_c_keeps_what_was_measured() -> None:
    found = study(known(interrupt=Shape(2, 256)), [Shape(1, 256), Shape(2, 256)], False, NO_LIMIT)
    assert found.interrupted
    assert [(row.verdict.word, row.why) for row in found.rows] == [("fits", ""), ("cannot tell", "interrupt")]


def test_no_shape_needs_less_than_one_within_it() -> None:
    """In small shapes the peak is the optimizer's, which is no part of the line through larger ones."""
    trainee = known()
    line = [trainee.measure(shape, False) for shape in neighbours(Shape(1, 1024))]
    small = MeasuredSteps(Shape(1, 128), train=Peak(500 * MIB, 500 * MIB, None), validate=Peak(0, 0, None))
    found = extrapolated([*line, small], Shape(1, 160), SIZES.kept)
    assert found is not None
    assert found.active.value == 500 * MIB
    assert found.footprint is not None


def test_what_exceeds_the_memory_by_itself_is_refused() -> None:
    sizes, whole, small = Sizes(100 * MIB, 60 * MIB, 120 * MIB), Recipe("full"), Recipe("lora")
    check_sizes(sizes, whole, NO_LIMIT, 2**40)
    with pytest.raises(SizeError, match=r"take 220\.0 MiB, more than the budget of 200\.0 MiB: train fewer"):
        check_sizes(sizes, whole, Budget(200 * MIB, ""), 2**40)
    with pytest.raises(
        SizeError, match=r"gradients take 280\.0 MiB, more than the 250\.0 MiB of memory"
    ) as error:
        check_sizes(sizes, small, NO_LIMIT, 250 * MIB)
    assert "adapters" not in str(error.value)
