"""Every metric of `mlxtop serve`, declared once: for the collector, the documentation and the board.

A value that is not known has no line. Every metric has the label `session`: the program's name and its
process id, as in `mlx_lm.server-4242`.
"""

from typing import Final, Literal, NamedTuple, get_args

from mlxtop.analysis.verdicts import VerdictKind
from mlxtop.core.limits import LIMIT_NAMES

Kind = Literal["gauge", "counter", "histogram", "info"]


class Metric(NamedTuple):
    """One metric by the name that a query has."""

    name: str
    kind: Kind
    help: str
    unit: Literal["bytes", "seconds", ""] = ""
    labels: tuple[str, ...] = ("session",)
    values: tuple[str, ...] = ()
    """What the last label may be, where that is a closed list."""
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, the last (infinity) left out."""


VERDICTS: Final[tuple[str, ...]] = get_args(VerdictKind)
SOURCES: Final = ("keyboard", "flag", "viewer", "budget", "mlxtop", "mlx_lm", "program")
"""Who changes a limit: a person by a key, an option or another viewer, a budget's action, mlxtop itself,
mlx-lm, or any other code of the program."""
MIB: Final = 2**20
SIZES: Final = tuple(float(MIB * size) for size in (16, 64, 256, *(2**power for power in range(10, 20))))
SPANS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

ACTIVE: Final = Metric("mlx_memory_active_bytes", "gauge", "Memory of MLX's live arrays.", "bytes")
CACHE: Final = Metric(
    "mlx_memory_cache_bytes", "gauge", "Freed buffers that MLX keeps in order to use them again.", "bytes"
)
PEAK: Final = Metric(
    "mlx_memory_peak_bytes",
    "gauge",
    "The most that was active since the program began, or since it reset the peak.",
    "bytes",
)
LIMIT: Final = Metric(
    "mlx_memory_limit_bytes",
    "gauge",
    "MLX's cache, memory and wired limit as they stand; +Inf is no limit.",
    "bytes",
    ("session", "limit"),
    LIMIT_NAMES,
)
FOOTPRINT: Final = Metric(
    "mlx_process_footprint_bytes", "gauge", "What the system charges the process.", "bytes"
)
BUDGET: Final = Metric("mlx_memory_budget_bytes", "gauge", "The budget that --budget names.", "bytes")
BUDGET_USED: Final = Metric(
    "mlx_memory_budget_used_bytes",
    "gauge",
    "What counts against the budget: by default the footprint.",
    "bytes",
)
BUFFERS: Final = Metric(
    "mlx_buffers", "gauge", "Live buffers, while a trace of the program counts them; cached ones come on top."
)
BUFFERS_LIMIT: Final = Metric(
    "mlx_buffers_limit", "gauge", "The most buffers that the device allows at once, cached ones included."
)
SAMPLED: Final = Metric(
    "mlx_sample_timestamp_seconds",
    "gauge",
    "When these numbers were read, in Unix time: old where the program lets no other thread run.",
    "seconds",
)
STEPS: Final = Metric(
    "mlx_steps_total",
    "counter",
    "Steps of the program since the agent came into it: calls of mx.eval and mx.async_eval.",
)
CLEARS: Final = Metric(
    "mlx_cache_clears_total", "counter", "How often the cache was cleared since mlxtop serve came to watch."
)
LIMIT_CHANGES: Final = Metric(
    "mlx_limit_changes_total",
    "counter",
    "How often a limit was set, and who did it, since mlxtop serve came to watch.",
    labels=("session", "source"),
    values=SOURCES,
)
DIAGNOSIS: Final = Metric(
    "mlx_diagnosis",
    "gauge",
    "1 for each verdict of the diagnosis that holds now, 0 for the others.",
    labels=("session", "verdict"),
    values=VERDICTS,
)
INFO: Final = Metric(
    "mlx_session_info",
    "info",
    "What the session is. A label that is not known is empty.",
    labels=("session", "pid", "rank", "program", "model", "device", "backend", "mlx"),
)
STEP_PEAK: Final = Metric(
    "mlx_step_peak_bytes",
    "histogram",
    "The most that was active in each step, from the end of the step before it on.",
    "bytes",
    buckets=SIZES,
)
GENERATION: Final = Metric(
    "mlx_generation_seconds",
    "histogram",
    "How long each generation took, its prompt included, where the program tells its phases.",
    "seconds",
    buckets=SPANS,
)

METRICS: Final = (
    ACTIVE, CACHE, PEAK, LIMIT, FOOTPRINT, BUDGET, BUDGET_USED, BUFFERS, BUFFERS_LIMIT, SAMPLED,
    STEPS, CLEARS, LIMIT_CHANGES, DIAGNOSIS, INFO, STEP_PEAK, GENERATION,
)  # fmt: skip
