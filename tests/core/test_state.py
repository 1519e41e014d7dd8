from mlxtop.core.budget import Budget, BudgetUsage
from mlxtop.core.census import Census
from mlxtop.core.events import (
    BudgetChanged,
    BudgetRead,
    CacheCleared,
    CensusTaken,
    ErrorRaised,
    Event,
    EventData,
    FactsRead,
    GenerationFinished,
    LimitChanged,
    LimitRequested,
    MarkAdded,
    PeakReset,
    PhaseChanged,
    ProgressMade,
    TicksMissed,
    WorkloadDone,
)
from mlxtop.core.facts import Facts
from mlxtop.core.limits import Limit
from mlxtop.core.snapshot import Snapshot
from mlxtop.core.state import Mark, Progress, State


def after(*events: EventData) -> State:
    """The state after `events`, one a second."""
    state = State()
    for second, data in enumerate(events):
        state.apply(Event(float(second), data))
    return state


def phase(name: str) -> EventData:
    return PhaseChanged(name)


def limit(old: int, new: int, who: str, **more: int) -> EventData:
    return LimitChanged(**more, name="cache", old=old, new=new, source=who)


def test_a_session_begins_with_nothing_known() -> None:
    state = State()
    assert (state.phase, state.progress, state.error, state.marks) == ("start", None, None, [])
    assert state.limits == {"cache": Limit(), "memory": Limit(), "wired": Limit()}


def test_facts_are_kept() -> None:
    assert after(FactsRead(Facts(backend="CPU"))).facts == Facts(backend="CPU")


def test_a_phase_begins_when_it_was_told_and_without_progress() -> None:
    state = after(phase("load"), ProgressMade("load", 3, 9), phase("idle"))
    assert (state.phase, state.phase_since, state.progress) == ("idle", 2.0, None)


def test_progress_is_the_present_one() -> None:
    state = after(phase("prefill"), ProgressMade("prefill", 512, 2048))
    assert state.progress == Progress(512, 2048)


def test_a_limit_is_pending_until_the_change_that_answers_its_command() -> None:
    state = after(limit(32, 32, "MLX's default"))
    state.apply(Event(1.0, LimitRequested("cache", 7), 41))
    state.apply(Event(1.5, limit(32, 9, "train.py:3")))
    state.apply(Event(1.6, limit(9, 7, "keyboard"), 40))
    assert state.limits["cache"].pending == 7
    state.apply(Event(2.0, limit(7, 7, "keyboard"), 41))
    assert state.limits["cache"] == Limit(7, "keyboard", None, 32)


def test_a_command_that_failed_is_pending_no_longer() -> None:
    state = after(limit(32, 32, "MLX's default"))
    state.apply(Event(1.0, LimitRequested("cache", 7), 41))
    state.apply(Event(1.1, ErrorRaised("another", "limit"), 40))
    assert state.limits["cache"].pending == 7
    state.apply(Event(1.2, ErrorRaised("it failed", "limit"), 41))
    assert state.limits["cache"].pending is None


def test_nothing_is_pending_at_the_end() -> None:
    state = after(limit(32, 32, "MLX's default"), LimitRequested("cache", 7), phase("ended"))
    assert state.limits["cache"].pending is None


def test_an_agent_of_0_1_tells_what_was_asked_for() -> None:
    state = after(
        limit(32, 32, "MLX's default"), LimitRequested("cache", 7), limit(32, 7, "keyboard", asked=7)
    )
    assert state.limits["cache"] == Limit(7, "keyboard", None, 32)
    assert state.limits["memory"] == Limit()


def test_a_peak_that_was_reset_stays_the_runs_peak() -> None:
    assert after(PeakReset("keyboard", 900)).run_peak == 900
    assert after(PeakReset("a", 900), PeakReset("b", 5)).run_peak == 900


def test_marks_are_kept_in_order_with_their_moment() -> None:
    numbers = {"active": 1, "cache": 2, "peak": 3, "tokens": 4}
    state = after(MarkAdded("start", "me", **numbers), MarkAdded("b", "me", **numbers))
    assert state.marks == [Mark("start", Snapshot(1, 2, 3, 0.0), 4), Mark("b", Snapshot(1, 2, 3, 1.0), 4)]


def test_a_new_mark_leaves_a_list_somebody_reads_alone() -> None:
    state = after(MarkAdded("a", "me", 0, 0, 0, 0))
    read = state.marks
    state.apply(Event(2.0, MarkAdded("b", "me", 0, 0, 0, 0)))
    assert (len(read), len(state.marks)) == (1, 2)


def test_generations_are_counted_and_the_last_is_kept() -> None:
    state = after(
        GenerationFinished(1, 0, 0.0, 0.0, 0.0, "me"), GenerationFinished(2, 0, 0.0, 0.0, 0.0, "me")
    )
    assert state.generations == 2
    assert state.generation is not None
    assert state.generation.tokens == 2


def test_an_error_stays_while_nothing_goes_on_and_goes_when_work_begins() -> None:
    error = ErrorRaised("no such model", "load")
    assert after(error, phase("failed")).error == "no such model"
    assert after(error, phase("idle")).error == "no such model"
    assert after(error, phase("load")).error is None


def test_late_ticks_add_up() -> None:
    assert after(TicksMissed(2), TicksMissed(3)).late == 5


def test_done_holds_until_work_begins_again() -> None:
    assert after(WorkloadDone(), phase("idle")).done
    assert not after(WorkloadDone(), phase("idle"), phase("prefill")).done


def test_the_last_census_is_kept() -> None:
    earlier, later = Census(active=1), Census(active=2)
    assert after(CensusTaken(earlier), CensusTaken(later)).census == later


def test_how_it_stands_to_a_budget_says_nothing_of_another_budget() -> None:
    budget = Budget(100, "flag")
    state = after(BudgetChanged(budget))
    state.apply(Event(0.5, BudgetRead(BudgetUsage(80, None))))
    state.apply(Event(1.0, BudgetChanged(budget, 80, 0, 80)))
    assert state.budget_usage == BudgetUsage(80, None)
    state.apply(Event(2.0, BudgetChanged(Budget(200, "keyboard"))))
    assert state.budget_usage is None


def test_a_cleared_cache_changes_nothing_that_is_kept() -> None:
    assert after(CacheCleared("mlx_lm/generate.py:463", 9)) == State()
