import csv
import io
from dataclasses import replace

import pytest

from mlxtop.cli import sweep_text
from mlxtop.core.facts import Facts
from mlxtop.sweep import table
from mlxtop.sweep.measurement import METRICS, Measurement
from mlxtop.sweep.plan import parse_parameter
from mlxtop.sweep.results import is_disturbed, order, summarize
from mlxtop.sweep.target import CommandTarget, ModelTarget
from tests.sweep.made import FACTS, MIB, measurements, plan

STEP = [70.0, 90.0, 100.0, 100.0]


def test_medians_with_their_intervals_of_every_cell() -> None:
    found = summarize(plan(), measurements(plan(), STEP), FACTS)
    assert [(row.label, row.length, row.repeats) for row in found.rows[:2]] == [
        ("0 B", 128, 6),
        ("2.0 MiB", 128, 6),
    ]
    assert found.rows[0].spreads["tps"].median == pytest.approx(70, rel=0.01)
    assert found.rows[0].spreads["total"].median == 500 * MIB
    assert set(found.metrics) == {"tps", "ttft", "prefill", "active", "total", "cache", "footprint"}
    assert (found.recommendation.verdict, found.recommendation.arm) == ("take", 2)
    assert "100.0 MiB less than default; 2.0 MiB is at least 9" in found.recommendation.sentence
    assert [row.label for row in found.rows if row.chosen] == ["20.0 MiB", "20.0 MiB"]
    assert found.enough
    assert found.notes == ["default is MLX's default cache limit, 32.0 MiB on this machine."]


def test_the_front_is_what_nothing_beats_in_both() -> None:
    made = summarize(plan(), measurements(plan(), [70.0, 60.0, 100.0, 95.0], noise=0), FACTS)
    assert [row.label for row in made.of_length(0) if row.front] == ["0 B", "20.0 MiB"]


def test_mlx_s_default_takes_its_place_by_its_size() -> None:
    small = plan(parameters=(parse_parameter("cache-limit=default,0,1G"),))
    rows = summarize(small, [], FACTS).rows
    assert order(small, rows, FACTS) == [1, 0, 2]
    assert order(small, rows, Facts()) == [1, 2, 0]


def test_other_parameters_are_ordered_by_what_they_hold() -> None:
    of = plan(parameters=(parse_parameter("kv-bits=default,8,4"),))
    made = measurements(of, [100.0, 100.0, 100.0])
    held = {0: 300, 1: 200, 2: 100}
    made = [replace(r, values={**r.values, "total": held[r.arm] * MIB}) for r in made]
    found = summarize(of, made, FACTS)
    assert order(of, found.rows, FACTS) == [2, 1, 0]
    assert found.recommendation.arm == 2
    assert found.recommendation.sentence.endswith(
        "so 4 is enough, with a peak of 100.0 MiB, 200.0 MiB less than default; its effect on the text was not "
        "measured."
    )


def test_disturbed_repeats_are_left_out_and_counted() -> None:
    made = measurements(plan(), STEP, rounds=8)
    spoiled = [
        replace(r, busy=0.6, values={**r.values, "tps": r.values["tps"] / 3}) if i % 10 == 0 else r
        for i, r in enumerate(made)
    ]
    found = summarize(plan(), spoiled, FACTS)
    out = sum(row.disturbed for row in found.rows)
    assert out == sum(1 for r in spoiled if is_disturbed(r, found.usual)) == 7
    assert sum(row.repeats for row in found.rows) == 64
    assert "7 of 64 repeats are excluded: other programs were busier than usual." in found.notes
    assert found.rows[2].spreads["tps"].low > 95


def test_a_load_that_is_always_there_disturbs_nothing_and_is_said() -> None:
    found = summarize(plan(), measurements(plan(), STEP, busy=0.5), FACTS)
    assert not any(row.disturbed for row in found.rows)
    assert "Other programs used 50 % of this machine's processors during the sweep." in found.notes


def test_a_choice_that_failed_is_shown_and_not_compared() -> None:
    made = [r for r in measurements(plan(), STEP) if r.arm != 1]
    made.append(Measurement(0, 1, 0, 0.0, 1.0, {}, None, "MLX ran out of memory."))
    found = summarize(plan(), made, FACTS)
    assert found.rows[1].error == "MLX ran out of memory."
    assert found.recommendation.arm == 2
    assert "0 B is at least" in found.recommendation.sentence
    assert "2.0 MiB: MLX ran out of memory." in found.notes
    assert table.mark(found.rows[1]) == "✕"


def test_nothing_measured_yet() -> None:
    found = summarize(plan(), [], Facts())
    assert found.recommendation.sentence == "Cannot tell yet: 0 of 5 undisturbed rounds are done."
    assert not found.enough
    assert sweep_text.table(found, 80)


def test_less_is_better_for_wall_time_and_where_it_is_said() -> None:
    of = plan(target=CommandTarget(("x",)))
    made = [replace(r, values={"seconds": 1000 / r.values["tps"]}) for r in measurements(of, STEP)]
    found = summarize(of, made, FACTS)
    assert found.recommendation.arm == 2
    assert "below the best speed (by wall time)" in found.recommendation.sentence
    of = plan(target=CommandTarget(("x",), "(.)", lower_is_better=True))
    made = [
        replace(r, values={"value": 1000 / r.values["tps"], "seconds": 1.0}) for r in measurements(of, STEP)
    ]
    assert summarize(of, made, FACTS).recommendation.arm == 2


# Tables


def test_a_table_fits_the_width_it_is_given_and_keeps_what_matters() -> None:
    made = summarize(plan(), measurements(plan(), STEP), FACTS)
    for width in (60, 80, 100, 120, 200):
        lines = sweep_text.table(made, width).splitlines()[:-2]
        assert max(map(len, lines)) <= width
        assert "tokens/s" in lines[0]
    assert "peak total" in sweep_text.table(made, 80)
    assert "footprint" in sweep_text.table(made, 160)


def test_markdown_has_every_interval_and_no_markup_of_others() -> None:
    made = summarize(plan(target=ModelTarget((128, 512), 64, "a|b <i>")), measurements(plan(), STEP), FACTS)
    text = table.markdown(made, FACTS, "chart")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 8
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1
    assert "| ★ | 20.0 MiB | 128 | 100.0 (" in text
    assert "```text\nchart\n```" in text
    assert "&lt;i>" in text
    assert text.startswith("Use 20.0 MiB: ")
    assert "A machine (CPU, 16.00 GiB), mlx 0.32.4, 64 tokens a generation, 6 rounds, seed 0" in text


def test_csv_has_every_repeat_as_measured() -> None:
    made = measurements(plan(), STEP)
    rows = list(csv.DictReader(io.StringIO(table.comma_separated(summarize(plan(), made, FACTS), made))))
    assert len(rows) == len(made)
    assert {row["cache-limit"] for row in rows} == {"0", str(2 * MIB), str(20 * MIB), "default"}
    assert [float(row["tps"]) for row in rows] == [r.values["tps"] for r in made]
    assert {row["disturbed"] for row in rows} == {"0"}


def test_figures_as_a_person_reads_them() -> None:
    assert METRICS["ttft"].format(0.0714) == "71 ms"
    assert METRICS["ttft"].format(2.5) == "2.50 s"
    assert METRICS["tps"].format(1234.5) == "1,234"
    assert METRICS["tps"].format(0.01234) == "0.0123"
    assert METRICS["total"].format(None) == "—"
    assert METRICS["total"].format(3 * MIB) == "3.0 MiB"


def test_too_few_repeats_are_told_from_the_start() -> None:
    few = summarize(plan(rounds=3), [], FACTS)
    told = "--repeats 3 is too few for a recommendation: use 5 or more."
    assert told in few.notes
    assert not any("--repeats" in note for note in summarize(plan(rounds=5), [], FACTS).notes)
