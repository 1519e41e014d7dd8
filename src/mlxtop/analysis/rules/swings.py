"""The verdicts on *active* that rises and comes down again and again: a sawtooth, or a peak that lasts."""

from collections.abc import Mapping

from mlxtop.analysis import thresholds as bar
from mlxtop.analysis.context import DiagnosisContext
from mlxtop.analysis.cycles import Cycles, cycles
from mlxtop.analysis.rules.peaks import made_by
from mlxtop.analysis.rules.unevaluated import holders, telling, told, unexplained
from mlxtop.analysis.verdicts import Verdict
from mlxtop.analysis.window import Window
from mlxtop.core.events import COLLECTOR, CensusTaken, GarbageCollected

COLLECTED = (
    "Arrays in reference cycles wait for Python's garbage collector. Break the cycle, or call gc.collect() "
    "where it suits the program. G runs it now; w lists what only garbage holds."
)
UNKNOWN_CAUSE = (
    "The program needs the highest of it, whatever the moment shows. Press w when it is high: the census "
    "names what holds it, and arrays that are not computed, which keep what they are computed from."
)


def swings(context: DiagnosisContext, begin: float) -> Verdict | None:
    """Returns the verdict on the cycles of *active*.

    The window is the shortest in which they are regular, or else the shortest that shows them.
    """
    seen: tuple[Window, Cycles] | None = None
    for span in context.windows.spans(begin):
        window = context.windows.between(context.end - span, context.end)
        found = cycles(window.start, window.width, window.lows["active"], window.highs["active"])
        if found is not None and (seen is None or (found.regular and found.sure)):
            seen = window, found
            if found.regular and found.sure:
                break
    if seen is None:
        return None
    return _long_peak(context, seen[1]) if _is_peak(seen[1]) else _sawtooth(context, *seen)


def _is_peak(found: Cycles) -> bool:
    """Returns whether it is far above its usual level for a part of each cycle. Else both are its work."""
    far = found.high >= bar.LONG_PEAK_TIMES * max(1, found.trough)
    return (
        found.regular
        and found.sure
        and found.plateau
        and far
        and found.above <= bar.LONG_PEAK_SHARE * found.period
    )


def _long_peak(context: DiagnosisContext, found: Cycles) -> Verdict:
    numbers = {
        "peak": float(found.high),
        "typical": float(found.trough),
        "times": found.high / max(1, found.trough),
        "lasts": found.above,
        "period": found.period,
    }
    return Verdict("spikes", found.falls[0], numbers, *made_by(context, found.high, found.trough))


def _sawtooth(context: DiagnosisContext, window: Window, found: Cycles) -> Verdict:
    numbers = {
        "low": float(found.low),
        "high": float(found.high),
        "trough": float(found.trough),
        "falls": len(found.falls),
        "span": window.span,
    }
    words, advice = _cause(context, window, found)
    if found.regular:
        numbers["period"] = found.period
        words = {**words, "period": "sure" if found.sure else "rough"}
    return Verdict("swings", window.start, numbers, words, advice)


def _cause(context: DiagnosisContext, window: Window, found: Cycles) -> tuple[Mapping[str, str], str]:
    """Returns the cause as words of a verdict, and advice."""
    least = (found.high - found.low) / 4
    garbage = [event.data.census.parts["garbage"] for event in context.events(CensusTaken, window.start)]
    if _collected(context, window, found, least) or max(garbage, default=0) >= least:
        return {"cause": "gc"}, COLLECTED
    census = telling(context, window.start)
    if census and unexplained(census, found.trough, found.high - found.trough) and (held := holders(census)):
        words, advice = told(held)
        return {"cause": "not evaluated", **words}, advice
    return {"cause": "unknown"}, UNKNOWN_CAUSE


def _collected(context: DiagnosisContext, window: Window, found: Cycles, least: float) -> bool:
    """Returns whether Python's collector freed `least` bytes or more, most of the times it came down."""
    freed = [
        event.time
        for event in context.events(GarbageCollected, window.start)
        if event.source == COLLECTOR and (event.data.freed or 0) >= least
    ]
    # A fall is known to a column; the column before may have its beginning.
    met = sum(any(-window.width <= time - fall <= 2 * window.width for time in freed) for fall in found.falls)
    return met >= bar.COLLECTED * len(found.falls)
