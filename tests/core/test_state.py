from mlxtop.core.budget import Budget, BudgetUsage, to_event
from mlxtop.core.census import Census
from mlxtop.core.events import Event, Kind
from mlxtop.core.limits import Limit
from mlxtop.core.snapshot import Snapshot
from mlxtop.core.state import Mark, Progress, State


def after(*events: tuple[Kind, dict]) -> State:
    """The state after `events`, one a second."""
    state = State()
    for second, (kind, data) in enumerate(events):
        state.apply(Event(float(second), kind, data))
    return state


def phase(name: str) -> tuple[Kind, dict]:
    return Kind.PHASE, {"phase": name}


def limit(old: int, new: int, who: str, **more: int) -> tuple[Kind, dict]:
    return Kind.LIMIT, {"knob": "cache", "old": old, "new": new, "who": who, **more}


def test_a_session_begins_with_nothing_known() -> None:
    state = State()
    assert (state.phase, state.progress, state.error, state.marks) == ("start", None, None, [])
    assert state.limits == {"cache": Limit(), "memory": Limit(), "wired": Limit()}


def test_facts_are_kept() -> None:
    assert after((Kind.FACTS, {"backend": "CPU"})).facts == {"backend": "CPU"}


def test_a_phase_begins_when_it_was_told_and_without_progress() -> None:
    state = after(phase("load"), (Kind.PROGRESS, {"phase": "load", "done": 3, "total": 9}), phase("idle"))
    assert (state.phase, state.phase_since, state.progress) == ("idle", 2.0, None)


def test_progress_is_the_present_one() -> None:
    state = after(phase("prefill"), (Kind.PROGRESS, {"phase": "prefill", "done": 512, "total": 2048}))
    assert state.progress == Progress(512, 2048)


def test_a_limit_change_names_who_did_it_and_ends_the_wish_it_answers() -> None:
    state = after(limit(32, 32, "MLX's default"))
    state.limits["cache"] = state.limits["cache"].asked(7)
    state.apply(Event(1.0, *limit(32, 7, "keyboard", asked=7)))
    assert state.limits["cache"] == Limit(7, "keyboard", None, 32)
    assert state.limits["memory"] == Limit()


def test_a_peak_that_was_reset_stays_the_runs_peak() -> None:
    assert after((Kind.RESET, {"who": "keyboard", "peak": 900})).run_peak == 900
    assert (
        after((Kind.RESET, {"peak": 900, "who": "a"}), (Kind.RESET, {"peak": 5, "who": "b"})).run_peak == 900
    )


def test_marks_are_kept_in_order_with_their_moment() -> None:
    numbers = {"active": 1, "cache": 2, "peak": 3, "tokens": 4}
    state = after((Kind.MARK, {"name": "start", **numbers}), (Kind.MARK, {"name": "b", **numbers}))
    assert state.marks == [Mark("start", Snapshot(1, 2, 3, 0.0), 4), Mark("b", Snapshot(1, 2, 3, 1.0), 4)]


def test_a_new_mark_leaves_a_list_somebody_reads_alone() -> None:
    state = after((Kind.MARK, {"name": "a", "active": 0, "cache": 0, "peak": 0, "tokens": 0}))
    read = state.marks
    state.apply(Event(2.0, Kind.MARK, {"name": "b", "active": 0, "cache": 0, "peak": 0, "tokens": 0}))
    assert (len(read), len(state.marks)) == (1, 2)


def test_generations_are_counted_and_the_last_is_kept() -> None:
    state = after((Kind.GENERATION, {"tokens": 1}), (Kind.GENERATION, {"tokens": 2}))
    assert (state.generations, state.generation) == (2, {"tokens": 2})


def test_an_error_stays_while_nothing_goes_on_and_goes_when_work_begins() -> None:
    error = (Kind.ERROR, {"message": "no such model", "phase": "load"})
    assert after(error, phase("failed")).error == "no such model"
    assert after(error, phase("idle")).error == "no such model"
    assert after(error, phase("load")).error is None


def test_late_ticks_add_up() -> None:
    assert after((Kind.LATE, {"ticks": 2}), (Kind.LATE, {"ticks": 3})).late == 5


def test_done_holds_until_work_begins_again() -> None:
    assert after((Kind.DONE, {}), phase("idle")).done
    assert not after((Kind.DONE, {}), phase("idle"), phase("prefill")).done


def test_the_last_census_is_kept() -> None:
    earlier, later = Census(active=1), Census(active=2)
    assert after((Kind.CENSUS, earlier.to_json()), (Kind.CENSUS, later.to_json())).census == later


def test_how_it_stands_to_a_budget_says_nothing_of_another_budget() -> None:
    budget = Budget(100, "flag")
    state = after((Kind.BUDGET, to_event(budget)))
    state.budget_usage = BudgetUsage(80, None)
    state.apply(Event(1.0, Kind.BUDGET, to_event(budget, 80, 0, 80)))
    assert state.budget_usage == BudgetUsage(80, None)
    state.apply(Event(2.0, Kind.BUDGET, to_event(Budget(200, "keyboard"))))
    assert state.budget_usage is None


def test_a_cleared_cache_changes_nothing_that_is_kept() -> None:
    assert after((Kind.CLEAR, {"who": "mlx_lm/generate.py:463", "freed": 9})) == State()
