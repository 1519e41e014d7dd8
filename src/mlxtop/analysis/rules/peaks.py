"""The verdict on peaks of *active* far above its usual level."""

from collections.abc import Mapping
from statistics import median

from mlxtop.analysis import thresholds as bar
from mlxtop.analysis.context import DiagnosisContext
from mlxtop.analysis.verdicts import Verdict
from mlxtop.core.events import PhaseChanged, StepPeaked
from mlxtop.core.resample import Columns
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.text import one_line

COLUMNS = 240
PARAMETERS = {
    "prefill": (
        "--prefill-step-size",
        "A smaller --prefill-step-size, such as 512, lowers the peak and makes prefill slower.",
    ),
    "decode": (
        "--kv-bits",
        "--kv-bits 8 makes the KV cache smaller, --max-kv-size caps it.",
    ),
}
SMALLER = "Use smaller batches or shorter chunks."
NAMED = f"{SMALLER} P lists the highest steps; press r to reset the peak and see the next one."
OTHERWISE = (
    f"{SMALLER} Press r to reset the peak and see the next one; "
    "call mlxtop.phase in the program to see which part causes it."
)


def spikes(context: DiagnosisContext, begin: float) -> Verdict | None:
    """Returns the verdict on a peak in the recent window, far above the usual *active*, that came down."""
    start = max(begin, context.end - context.window)
    width = (context.end - start) / COLUMNS
    if context.end - start < bar.LEAST_SPAN * context.window:
        return None
    columns = context.history.columns(
        start, width, COLUMNS, ("active", "peak"), ("phase",), until=context.end
    )
    tokens = context.steps_are == "tokens"
    rule = "tokens" if tokens else "evals"
    typical = _typical(context, columns)
    if typical is None:
        return None
    lo, hi = columns.lo["active"], columns.hi["active"]
    near = typical * (1 + bar.SPIKE_TIMES[rule]) / 2
    quiet = [i for i, low in enumerate(lo) if UNKNOWN < low <= near]
    # A rise that is cut off by the window or has not come down yet may be a plateau.
    found = _highest(columns, quiet[0] + 1, quiet[-1]) if quiet else None
    if found is None:
        return None
    place, peak = found
    if peak < bar.SPIKE_TIMES[rule] * typical or peak - typical < bar.SPIKE_LEAST:
        return None
    half = (typical + peak) / 2
    known = sum(high != UNKNOWN for high in hi)
    if sum(high > half for high in hi) > bar.SPIKE_SHARE[rule] * known:
        return None
    down = next(i for i in quiet if i > place)
    up = next(i for i in reversed(quiet) if i < place)
    at, phases = _where(context, start + width * place, width, peak)
    brief = (down - up) * width <= bar.SPIKE_LASTS * context.window + 2 * width
    if not brief and not (tokens and "prefill" in phases):
        return None
    numbers = {"peak": float(peak), "typical": float(typical), "times": peak / typical}
    words = {"phase": " or ".join(phases)} if phases else {}
    parameters = [PARAMETERS[name] for name in phases if name in PARAMETERS] if tokens else []
    if parameters:
        words["parameter"] = " or ".join(name for name, _ in parameters)
    made, advice = made_by(context, peak, typical)
    return Verdict(
        "spikes", at, numbers, {**words, **made}, " ".join(text for _, text in parameters) or advice
    )


def made_by(context: DiagnosisContext, peak: int, typical: int) -> tuple[Mapping[str, str], str]:
    """Returns the file and line of the step that rises from `typical` to `peak`, as a word, and advice.

    It may be any step of the run: an agent tells of the highest only, and what comes again is not higher.
    """
    near, least = bar.SPIKE_NEAR * peak, bar.EXPLAINS * (peak - typical)
    steps = [
        step
        for step in (event.data for event in context.events(StepPeaked))
        if step.caller and abs(step.peak - peak) <= near and step.peak - step.floor >= least
    ]
    if not steps:
        return {}, OTHERWISE
    return {"caller": one_line(max(steps, key=lambda step: step.peak - step.floor).caller)}, NAMED


def _typical(context: DiagnosisContext, columns: Columns) -> int | None:
    """Returns the usual *active* in bytes: the median while decoding, or of all columns."""
    if context.steps_are == "tokens":
        names = [context.phases[p] if 0 <= p < len(context.phases) else "" for p in columns.last["phase"]]
        decoding = [
            low for low, name in zip(columns.lo["active"], names, strict=True) if name == "decode" and low > 0
        ]
        if len(decoding) >= COLUMNS // 10:
            return int(median(decoding))
    known = [high for high in columns.hi["active"] if high > 0]
    return int(median(known)) if len(known) >= COLUMNS // 4 else None


def _highest(columns: Columns, start: int, end: int) -> tuple[int, int] | None:
    """Returns the column from `start` up to `end` with the highest *active* or peak, and its bytes."""
    best: tuple[int, int] | None = None
    peak = UNKNOWN
    for i, (high, risen) in enumerate(zip(columns.hi["active"], columns.hi["peak"], strict=True)):
        # The first known peak may be from any earlier time.
        if UNKNOWN < peak < risen:
            high = risen
        peak = risen if risen != UNKNOWN else peak
        if start <= i < end and high > 0 and (best is None or high > best[1]):
            best = i, high
    return best


def _where(context: DiagnosisContext, start: float, width: float, peak: int) -> tuple[float, list[str]]:
    """Returns when within a column the peak was reached, and the phases it may belong to."""
    count = 25
    fine = context.history.columns(start, width / count, count, ("active", "peak"), (), until=context.end)
    reached = (i for i in range(count) if max(fine.hi["active"][i], fine.hi["peak"][i]) >= peak)
    i = next(reached, None)
    begin, end = (
        (start, start + width)
        if i is None
        else (start + width / count * (i - 1), start + width / count * (i + 1))
    )
    changes = context.events(PhaseChanged)
    before = [e for e in changes if e.time <= begin][-1:]
    within = [e for e in changes if begin < e.time <= end]
    names = list(dict.fromkeys(e.data.phase for e in (*before, *within)))
    # These phases name no work.
    named = [name for name in names if name not in ("run", "start", "idle")]
    return begin, named
