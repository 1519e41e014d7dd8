"""The verdict on peaks far above the usual."""

from statistics import median

from mlxtop.analysis import thresholds as bar
from mlxtop.analysis.context import DiagnosisContext
from mlxtop.analysis.verdicts import Verdict
from mlxtop.core.events import PhaseChanged
from mlxtop.core.resample import Columns
from mlxtop.core.sample import UNKNOWN

COLUMNS = 240
BENDS = {
    "prefill": (
        "--prefill-step-size",
        "A smaller --prefill-step-size (512, say) takes a prompt in smaller chunks: less peak, more time.",
    ),
    "decode": (
        "--kv-bits",
        "--kv-bits 8 makes the KV cache smaller, --max-kv-size caps it.",
    ),
}
OTHERWISE = (
    "Smaller batches or shorter chunks bend it; r resets the peak to see the next one, "
    "and mlxtop.phase in the program names where it comes from."
)


def spikes(case: DiagnosisContext, begin: float) -> Verdict | None:
    """A peak of the recent window that is far above the usual *active* and came down again."""
    start = max(begin, case.end - case.window)
    width = (case.end - start) / COLUMNS
    if case.end - start < bar.LEAST_SPAN * case.window:
        return None
    columns = case.history.columns(start, width, COLUMNS, ("active", "peak"), ("phase",), until=case.end)
    tokens = case.steps_are == "tokens"
    rule = "tokens" if tokens else "evals"
    typical = _typical(case, columns)
    if typical is None:
        return None
    lo, hi = columns.lo["active"], columns.hi["active"]
    near = typical * (1 + bar.SPIKE_TIMES[rule]) / 2
    quiet = [i for i, low in enumerate(lo) if UNKNOWN < low <= near]
    # What the window cuts off, or what has not come down yet, may be a plateau.
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
    at, phases = _where(case, start + width * place, width, peak)
    brief = (down - up) * width <= bar.SPIKE_LASTS * case.window + 2 * width
    if not brief and not (tokens and "prefill" in phases):
        return None
    numbers = {"peak": float(peak), "typical": float(typical), "times": peak / typical}
    words = {"phase": " or ".join(phases)} if phases else {}
    parameters = [BENDS[name] for name in phases if name in BENDS] if tokens else []
    if parameters:
        words["parameter"] = " or ".join(name for name, _ in parameters)
    return Verdict("spikes", at, numbers, words, " ".join(text for _, text in parameters) or OTHERWISE)


def _typical(case: DiagnosisContext, columns: Columns) -> int | None:
    """The usual *active*: what decoding takes, or what most columns reach."""
    if case.steps_are == "tokens":
        names = [case.phases[p] if 0 <= p < len(case.phases) else "" for p in columns.last["phase"]]
        decoding = [
            low for low, name in zip(columns.lo["active"], names, strict=True) if name == "decode" and low > 0
        ]
        if len(decoding) >= COLUMNS // 10:
            return int(median(decoding))
    known = [high for high in columns.hi["active"] if high > 0]
    return int(median(known)) if len(known) >= COLUMNS // 4 else None


def _highest(columns: Columns, start: int, end: int) -> tuple[int, int] | None:
    """The column from `start` up to `end` with the highest *active*, or a peak between two samples."""
    best: tuple[int, int] | None = None
    peak = UNKNOWN
    for i, (high, risen) in enumerate(zip(columns.hi["active"], columns.hi["peak"], strict=True)):
        # The first peak that is seen may be of any time before.
        if UNKNOWN < peak < risen:
            high = risen
        peak = risen if risen != UNKNOWN else peak
        if start <= i < end and high > 0 and (best is None or high > best[1]):
            best = i, high
    return best


def _where(case: DiagnosisContext, start: float, width: float, peak: int) -> tuple[float, list[str]]:
    """When within a column the peak was reached, and the phases it can have been in."""
    count = 25
    fine = case.history.columns(start, width / count, count, ("active", "peak"), (), until=case.end)
    reached = (i for i in range(count) if max(fine.hi["active"][i], fine.hi["peak"][i]) >= peak)
    i = next(reached, None)
    begin, end = (
        (start, start + width)
        if i is None
        else (start + width / count * (i - 1), start + width / count * (i + 1))
    )
    changes = case.events(PhaseChanged)
    before = [e for e in changes if e.time <= begin][-1:]
    within = [e for e in changes if begin < e.time <= end]
    names = list(dict.fromkeys(e.data.phase for e in (*before, *within)))
    # A program that names no phases has one.
    named = [name for name in names if name not in ("run", "start", "idle")]
    return begin, named
