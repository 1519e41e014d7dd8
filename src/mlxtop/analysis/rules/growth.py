"""The verdicts on what grows: the cache, the live arrays, and what is not MLX's."""

from collections.abc import Mapping

from mlxtop.analysis import thresholds as bar
from mlxtop.analysis.context import DiagnosisContext
from mlxtop.analysis.trend import Growth
from mlxtop.analysis.verdicts import Verdict
from mlxtop.analysis.window import Window, grown
from mlxtop.core.events import GenerationFinished
from mlxtop.core.limits import GIB, LADDER, MIB
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.units import UNLIMITED

WORKING = 20 * MIB
"""The least cap that is proposed: what mlx-swift's guide gives an LLM."""
CENSUS = "w counts the live arrays, largest first, with who holds them: once now and once when it has grown."


def hoard(case: DiagnosisContext, growth: Growth, stretch: Window) -> Verdict | None:
    """The cache grows; `None` when it is as good as full, where it cannot grow any more."""
    limit = _held_at(case)
    if full(case, stretch) is not None:
        return None
    active = grown(stretch.floors["active"]) or 0
    generations = case.events(GenerationFinished, stretch.start)
    cap = max((rung for rung in LADDER if rung <= case.now.cache // 2), default=0)
    cap = max(cap, WORKING)
    numbers: dict[str, float] = {
        **_rate(growth),
        "cache": case.now.cache,
        "active_grown": active,
        "cap": cap,
    }
    if limit is not None and limit < UNLIMITED:
        numbers["limit"] = limit
        numbers["until_full"] = max(0.0, (limit - case.now.cache) / growth.slope.value)
    if generations:
        numbers["prompt_lengths"] = len({event.data.prompt_tokens for event in generations})
    flat = abs(active) < bar.FLAT * growth.grown
    flag = f"{cap // GIB}G" if cap >= GIB else f"{cap // MIB}M"
    advice = (
        f"[ lowers the cache limit until the cache gives way, and the status row says what that does to the "
        f"speed; --cache-limit {flag} sets it from the start. A cache grows with distinct shapes: "
        f"prompts and batches of few different lengths grow it less."
    )
    beside = "flat" if flat else "growing too" if active > 0 else "falling"
    return Verdict("cache hoard", stretch.start, numbers, {"active": beside}, advice)


def _held_at(case: DiagnosisContext) -> int | None:
    limits = case.state.limits
    return case.cache_held_at(limits["cache"].value, limits["memory"].value)


def full(case: DiagnosisContext, stretch: Window | None) -> int | None:
    """What holds the cache, its limit or the room that active leaves, if the cache has filled up to it."""
    limit = _held_at(case)
    high = case.now.cache if stretch is None else max(stretch.cache_high, case.now.cache)
    return limit if limit and high >= bar.FULL * limit else None


def active(case: DiagnosisContext, growth: Growth, stretch: Window) -> Verdict:
    """The floor of the live arrays rises."""
    kv = grown(stretch.floors["kv"])
    numbers = {**_rate(growth), "active": float(case.now.active)}
    generations = len(case.events(GenerationFinished, stretch.start))
    if generations >= 3:
        numbers["per_generation"] = growth.grown / generations
    cause = "unknown"
    if kv is not None:
        numbers["kv_grown"] = kv
        if kv >= bar.EXPLAINS * growth.grown:
            cause = "kv"
        elif case.steps_are == "tokens":
            cause = "other"
    if cause == "kv":
        advice = "--max-kv-size caps the KV cache, --kv-bits makes it smaller; n forgets the conversation."
    elif cause == "other":
        advice = f"It is not the KV cache. {CENSUS}"
    else:
        advice = f"{CENSUS} If it is a KV cache, cap it (RotatingKVCache) or quantize it (--kv-bits)."
    more, words = _ceiling(case, growth.slope.value, mlx=True)
    return Verdict("active grows", stretch.start, {**numbers, **more}, {"cause": cause, **words}, advice)


def beyond(case: DiagnosisContext, growth: Growth, stretch: Window) -> Verdict:
    """The process grows by what MLX does not hold."""
    held = case.now.total if case.unified else 0
    numbers = {**_rate(growth), "beyond": float(case.now.footprint - held)}
    if case.now.footprint == UNKNOWN:
        del numbers["beyond"]
    more, words = _ceiling(case, growth.slope.value, mlx=False)
    advice = (
        "No limit of MLX's holds it: look at what the program keeps outside of arrays (text, images, "
        "batches, logs). G runs Python's garbage collector; tracemalloc finds what still is held."
    )
    return Verdict("not MLX", stretch.start, {**numbers, **more}, words, advice)


def _rate(growth: Growth) -> dict[str, float]:
    slope = growth.slope
    return {
        "grown": growth.grown,
        "span": growth.span,
        "per_minute": slope.value * 60,
        "per_minute_low": slope.low * 60,
        "per_minute_high": slope.high * 60,
    }


def _ceiling(
    case: DiagnosisContext, slope: float, mlx: bool
) -> tuple[Mapping[str, float], Mapping[str, str]]:
    """The ceiling that is reached first, and when. `mlx`: it is MLX's memory that grows."""
    now = case.now
    held = now.footprint if case.unified and now.footprint != UNKNOWN else now.total
    # MLX gives its cache up before it runs out of the device, but knows nothing of a budget.
    device = case.fact("working_set") or case.fact("memory")
    ceilings = [("budget of", case.budget, held), ("device's", device, now.active)]
    if not mlx:
        system = case.fact("system_memory") or (case.fact("memory") if case.unified else None)
        ceilings = [("budget of", case.budget, now.footprint), ("system's", system, now.footprint)]
    rooms = [(size - used, name, size) for name, size, used in ceilings if size and used != UNKNOWN]
    if not rooms:
        return {}, {}
    room, name, size = min(rooms)
    return {"ceiling": size, "until_ceiling": max(0.0, room / slope)}, {"ceiling": name}
