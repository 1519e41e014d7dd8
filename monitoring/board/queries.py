"""What the board asks Prometheus: PromQL over the metrics of `mlxtop.serve.metrics`."""

from mlxtop.analysis.verdicts import ORDER, VerdictKind
from mlxtop.serve import metrics as m

EACH = "(instance, session)"
"""The labels that name one session."""


def of(metric: m.Metric, more: str = "", suffix: str = "") -> str:
    """The series of the sessions that are chosen. `more` are further matchers."""
    matchers = ", ".join(filter(None, ('instance=~"$host"', 'session=~"$session"', more)))
    return f"{metric.name}{suffix}{{{matchers}}}"


def each(query: str) -> str:
    """One value a session, without any other label."""
    return f"max by {EACH} ({query})"


def rate(metric: m.Metric, suffix: str = "") -> str:
    """How fast a counter rises, per second."""
    return f"rate({of(metric, suffix=suffix)}[$__rate_interval])"


ACTIVE, CACHE, FOOTPRINT, INFO = of(m.ACTIVE), of(m.CACHE), of(m.FOOTPRINT), of(m.INFO)
CUDA = of(m.INFO, 'backend="CUDA"')
OUTSIDE = (
    f"clamp_min(({FOOTPRINT} - ({ACTIVE} + {CACHE})) unless on {EACH} {CUDA}, 0)"
    f" or ({FOOTPRINT} and on {EACH} {CUDA})"
)
"""On CUDA the footprint has nothing of MLX's memory, which is the device's."""
SIZE = f"{FOOTPRINT} or ({ACTIVE} + {CACHE})"
LARGEST = f"topk($top, max by {EACH} (max_over_time(({SIZE})[$__range:$__interval] @ end())))"
"""The same sessions at every moment of a chart, those that are over included."""
ONE = f"on () (count({INFO}) == 1)"
"""True while a single session is chosen: budgets do not add up."""

CODES: dict[VerdictKind, int] = {
    kind: code for code, kind in enumerate(("not enough data", "steady", *reversed(ORDER)), 1)
}
"""A number for each verdict: the more important, the higher."""
CALM = "steady|not enough data"


def verdict() -> str:
    """The number of the most important verdict of each session."""
    # Only those that hold are joined: of a thousand sessions the others would take seconds.
    held = (f"{code} * (" + of(m.DIAGNOSIS, f'verdict="{kind}"') + " == 1)" for kind, code in CODES.items())
    return each(" or ".join(held))


def attention() -> str:
    """How many sessions have a verdict that a person should read."""
    found = each(of(m.DIAGNOSIS, f'verdict!~"{CALM}"') + " == 1")
    return f"count({found}) or 0 * count({of(m.DIAGNOSIS)})"


def over_budget() -> str:
    """How many sessions are above their budget; nothing where none has a budget."""
    used, budget = of(m.BUDGET_USED), of(m.BUDGET)
    return f"count({used} >= {budget}) or 0 * count({budget})"


def quantile(share: float) -> str:
    """How long so large a share of the generations took at most, in seconds."""
    return f"histogram_quantile({share}, sum by (le) ({rate(m.GENERATION, '_bucket')}))"


def of_largest(query: str) -> str:
    """The series of the largest sessions only."""
    return f"({query}) and on {EACH} {LARGEST}"
