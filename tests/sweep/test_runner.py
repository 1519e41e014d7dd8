import json
from pathlib import Path

import pytest

from mlxtop.core.errors import MlxtopError
from mlxtop.core.facts import Facts
from mlxtop.core.files import put
from mlxtop.sweep import store
from mlxtop.sweep.measurement import Measurement
from mlxtop.sweep.results import Summary
from mlxtop.sweep.runner import Progress, Sweep
from tests.sweep.made import FACTS, Bench, plan

STEP = [70.0, 90.0, 100.0, 100.0]


def test_warm_up_is_no_reading_and_rounds_end_when_the_numbers_are_good() -> None:
    bench = Bench(plan(), STEP)
    seen: list[Progress] = []
    sweep = Sweep(plan(), bench, lambda s: seen.append(s.progress))
    sweep.run()
    assert sweep.failure is None
    assert [p.stage for p in seen][:3] == ["load", "warm-up", "warm-up"]
    assert (seen[-1].stage, seen[-1].done) == ("done", 40)
    # One a shape, which here is one a length.
    assert bench.measured[:2] == [(0, 0), (0, 1)]
    assert len(sweep.measurements) == len(bench.measured) - 2 == 5 * 8
    assert sweep.summary.enough
    assert sweep.summary.recommendation.arm == 2
    assert bench.closed


def test_noise_takes_all_rounds() -> None:
    bench = Bench(plan(rounds=7), STEP, noise=0.1)
    sweep = Sweep(plan(rounds=7), bench)
    sweep.run()
    assert len(sweep.measurements) == 7 * 8
    assert sweep.summary.recommendation.verdict == "unknown"


def test_time_left_shrinks_to_nothing() -> None:
    seen: list[Progress] = []
    Sweep(plan(), Bench(plan(), STEP, noise=0.1), lambda s: seen.append(s.progress)).run()
    measured = [p for p in seen if p.stage == "measure"]
    assert measured[0].left is None
    assert measured[-1].total - measured[-1].done == 1
    assert seen[-1].left == 0


def test_a_stop_keeps_what_there_is() -> None:
    bench = Bench(plan(), STEP)
    bench.stop_after = 21
    sweep = Sweep(plan(), bench)
    sweep.run()
    assert (sweep.progress.stage, len(sweep.measurements), sweep.failure) == ("stopped", 19, None)
    assert bench.closed


def test_stop_from_outside_ends_before_the_next_cell() -> None:
    bench = Bench(plan(), STEP)

    def changed(sweep: Sweep) -> None:
        if sweep.progress.done == 5:
            sweep.stop()

    sweep = Sweep(plan(), bench, changed)
    sweep.run()
    assert (sweep.progress.stage, len(sweep.measurements)) == ("stopped", 5)


def test_what_was_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "s.json"

    def keep(summary: Summary, facts: Facts, measurements: list[Measurement]) -> None:
        put(path, store.text(summary, facts, measurements))

    bench = Bench(plan(), STEP)
    bench.stop_after = 25
    Sweep(plan(), bench, keep=keep).run()
    assert len(json.loads(path.read_text())["readings"]) == 23
    sweep = Sweep(plan(), Bench(plan(), STEP), keep=keep, stored=store.read(path))
    sweep.run()
    cells = [(r.round, r.arm, r.length) for r in sweep.measurements]
    assert len(set(cells)) == len(cells) == 40
    assert len(json.loads(path.read_text())["readings"]) == 40
    # And once more there is nothing left to do but to say it.
    bench = Bench(plan(), STEP)
    Sweep(plan(), bench, stored=store.read(path)).run()
    assert len(bench.measured) == 2


def test_another_device_is_another_sweep(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    sweep = Sweep(plan(), Bench(plan(), STEP))
    sweep.run()
    put(path, store.text(sweep.summary, FACTS.replace(mlx="0.1"), sweep.measurements))
    again = Sweep(plan(), Bench(plan(), STEP), stored=store.read(path))
    again.run()
    assert again.progress.stage == "failed"
    assert "measured with mlx 0.1, not 0.32.4" in str(again.failure)


def test_a_disturbed_cell_is_repeated_at_the_end_of_its_block() -> None:
    bench = Bench(plan(rounds=5), STEP)
    # Two warm-ups, three quiet rounds of two blocks of four, then one disturbed cell.
    bench.busy = [0.01] * (2 + 3 * 8) + [0.01, 0.9, 0.01, 0.01, 0.02]
    sweep = Sweep(plan(rounds=5), bench)
    sweep.run()
    fourth = [r for r in sweep.measurements if r.round == 3]
    assert len(fourth) == 9
    assert (fourth[4].arm, fourth[4].length) == (fourth[1].arm, fourth[1].length)
    assert [r.busy for r in fourth[:5]] == [0.01, 0.9, 0.01, 0.01, 0.02]
    row = next(row for row in sweep.summary.rows if row.cell == (fourth[1].arm, fourth[1].length))
    assert (row.repeats, row.disturbed) == (6, 1)
    assert sweep.summary.enough


def test_what_fails_is_left_out_and_the_rest_goes_on() -> None:
    bench = Bench(plan(), STEP)
    bench.broken = {3}
    sweep = Sweep(plan(), bench)
    sweep.run()
    assert sweep.failure is None
    assert [r.error for r in sweep.measurements if r.error] == ["MLX ran out of memory."]
    assert sweep.summary.recommendation.arm == 2
    assert sweep.progress.total == 60


def test_when_everything_fails_that_is_the_failure() -> None:
    bench = Bench(plan(), STEP)
    bench.broken = {0, 1, 2, 3}
    sweep = Sweep(plan(), bench)
    sweep.run()
    assert sweep.progress.stage == "failed"
    assert str(sweep.failure) == "MLX ran out of memory."
    assert bench.closed


def test_a_bench_that_cannot_open() -> None:
    bench = Bench(plan(), STEP)

    def fail() -> None:
        raise MlxtopError("No such model.")

    bench.open = fail  # type: ignore[method-assign]
    sweep = Sweep(plan(), bench)
    sweep.run()
    assert str(sweep.failure) == "No such model."
    assert bench.closed


def test_a_disk_that_is_full_ends_it_with_a_sentence(tmp_path: Path) -> None:
    def keep(summary: Summary, facts: Facts, measurements: list[Measurement]) -> None:
        put(tmp_path / "none" / "s.json", "")

    sweep = Sweep(plan(), Bench(plan(), STEP), keep=keep)
    sweep.run()
    assert "cannot be written" in str(sweep.failure)
    assert len(sweep.measurements) == 1


@pytest.mark.parametrize("seed", range(3))
def test_readings_come_in_the_plan_s_order(seed: int) -> None:
    of = plan(seed=seed, rounds=5)
    sweep = Sweep(of, Bench(of, STEP))
    sweep.run()
    wanted = [(n, *cell) for n in range(5) for block in of.round(n) for cell in block]
    assert [(r.round, r.arm, r.length) for r in sweep.measurements] == wanted
