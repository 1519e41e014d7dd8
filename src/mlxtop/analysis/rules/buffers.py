"""The verdict on a number of buffers that grows while their bytes do not: Metal limits the number, too."""

from collections.abc import Sequence
from math import inf

from mlxtop.analysis import thresholds as bar
from mlxtop.analysis.context import DiagnosisContext
from mlxtop.analysis.trend import Growth, floors, growth
from mlxtop.analysis.verdicts import Verdict
from mlxtop.analysis.window import returns
from mlxtop.core.sample import UNKNOWN

ADVICE = (
    "Something keeps small arrays: a list of losses or metrics, a cache entry a request. mlxtop trace show "
    "names the operations and lines of what was never freed; w lists the arrays and what holds them."
)
METAL = " MLX ends with 'Resource limit (N) exceeded' when it is reached, however few bytes they have."


def find(context: DiagnosisContext, start: float) -> tuple[Growth, float]:
    """Returns the growth of live buffers in the shortest window that shows it, and since when.

    Else the first unclear result, without its size: that is no number of bytes.
    """
    doubt = Growth("no"), context.end
    if context.now.buffers == UNKNOWN:
        return doubt
    for span in context.windows.spans(start):
        begin = context.end - span
        found = _growth(context, begin, span)
        if found.found == "yes" and span >= bar.GROWTH_SPAN * context.window:
            return found, begin
        if found.found != "no" and doubt[0].found == "no":
            # A growth in a short window may be a warm-up.
            why = found.why or "it may be warming up"
            doubt = Growth("unclear", why=why), begin
    return doubt


def buffers(
    context: DiagnosisContext, found: Growth, begin: float, told: Sequence[Verdict]
) -> Verdict | None:
    """Returns the verdict that live buffers grow.

    Beside one of the verdicts already `told`, that *active* grows, it is news only if its end comes first.
    """
    verdict = _verdict(context, begin, found)
    return verdict if verdict.numbers.get("until_limit", inf) <= _end_of_growth(told) else None


def _end_of_growth(told: Sequence[Verdict]) -> float:
    """Returns the seconds until what grows by bytes ends; infinite where nothing does."""
    grows = [verdict for verdict in told if verdict.kind in ("active grows", "not evaluated")]
    return min((verdict.numbers.get("until_ceiling", 0.0) for verdict in grows), default=inf)


def _growth(context: DiagnosisContext, begin: float, span: float) -> Growth:
    count = bar.SEGMENTS * bar.COLUMNS
    known = floors(_read(context, begin, span / count, count), bar.COLUMNS)
    segment = span / bar.SEGMENTS
    times = [begin + segment * (i + 0.5) for i in range(bar.SEGMENTS)]
    level = max((floor for floor in known if floor is not None), default=0)
    found = growth(times, known, max(bar.BUFFERS_LEAST, bar.BUFFERS_SHARE * level))
    if found.found == "yes" and _came_down(context, begin, segment, known, found.grown):
        return found._replace(found="no", why="it rose before and came down again")
    return found


def _came_down(
    context: DiagnosisContext, begin: float, segment: float, known: Sequence[int | None], grown: int
) -> bool:
    """Returns whether there was such a rise before that came down again: a cycle longer than the window."""
    count = int(min(begin - context.first, bar.LOOK_BACK * bar.SEGMENTS * segment) / segment)
    if count < 2:
        return False
    before = floors(_read(context, begin - count * segment, segment, count), 1)
    base = next(floor for floor in known if floor is not None)
    return returns([*before, base], base + grown / 4, base + grown / 2) > 0


def _read(context: DiagnosisContext, start: float, width: float, count: int) -> list[int]:
    return context.history.columns(start, width, count, (), ("buffers",), until=context.end).last["buffers"]


def _verdict(context: DiagnosisContext, begin: float, found: Growth) -> Verdict:
    numbers = {
        "buffers": context.now.buffers,
        "grown": found.grown,
        "span": found.span,
        "per_minute": found.slope.value * 60,
        "active": context.now.active,
    }
    limit, advice = context.state.facts.resource_limit, ADVICE
    if limit is not None:
        numbers["limit"] = limit
        numbers["until_limit"] = max(0.0, (limit - context.now.buffers) / found.slope.value)
    if context.state.facts.backend == "Metal":
        advice += METAL
    return Verdict("buffers grow", begin, numbers, {}, advice)
