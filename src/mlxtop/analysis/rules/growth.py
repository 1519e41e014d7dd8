"""The verdicts on growth: of the cache, of the live arrays, and of memory outside MLX."""

from collections.abc import Mapping

from mlxtop.analysis import thresholds as bar
from mlxtop.analysis.context import DiagnosisContext
from mlxtop.analysis.rules.unevaluated import agreed, holders, telling, told, unexplained
from mlxtop.analysis.trend import Growth
from mlxtop.analysis.verdicts import Verdict
from mlxtop.analysis.window import Window, grown
from mlxtop.core.events import GenerationFinished
from mlxtop.core.limits import GIB, LADDER, MIB
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.units import UNLIMITED

WORKING = 20 * MIB
"""The smallest cache limit that is proposed: mlx-swift's guide recommends it for an LLM."""
CENSUS = "Press w to list the live arrays and what holds them, now and again after more growth."
UNSEEN = (
    "Nothing was evaluated meanwhile. An array that is not computed keeps all that it is computed from: w "
    "names such arrays."
)


def hoard(context: DiagnosisContext, growth: Growth, window: Window) -> Verdict | None:
    """Returns the verdict that the cache grows; `None` when it is nearly full and can grow no further."""
    limit = _held_at(context)
    if full(context, window) is not None:
        return None
    active = grown(window.floors["active"]) or 0
    generations = context.events(GenerationFinished, window.start)
    most = cap(context.now.cache)
    numbers: dict[str, float] = {
        **_rate(growth),
        "cache": context.now.cache,
        "active_grown": active,
        "cap": most,
    }
    if limit is not None and limit < UNLIMITED:
        numbers["limit"] = limit
        numbers["until_full"] = max(0.0, (limit - context.now.cache) / growth.slope.value)
    if generations:
        numbers["prompt_lengths"] = len({event.data.prompt_tokens for event in generations})
    flat = abs(active) < bar.FLAT * growth.grown
    advice = (
        f"Press [ to lower the cache limit; the status row shows the effect on speed. "
        f"--cache-limit {flag(most)} sets it from the start. The cache grows with the number of distinct "
        f"array shapes: use fewer different prompt lengths and batch sizes."
    )
    beside = "flat" if flat else "growing too" if active > 0 else "falling"
    return Verdict("cache hoard", window.start, numbers, {"active": beside}, advice)


def cap(cache: int) -> int:
    """Returns the cache limit in bytes that is proposed for a cache that is too large."""
    return max(WORKING, *(rung for rung in LADDER if rung <= cache // 2))


def flag(size: int) -> str:
    """Returns a rung of the ladder as an option takes it."""
    return f"{size // GIB}G" if size >= GIB else f"{size // MIB}M"


def _held_at(context: DiagnosisContext) -> int | None:
    limits = context.state.limits
    return context.cache_held_at(limits["cache"].value, limits["memory"].value)


def full(context: DiagnosisContext, window: Window | None) -> int | None:
    """Returns the size in bytes to which the limits hold the cache, if it is full; else `None`."""
    limit = _held_at(context)
    high = context.now.cache if window is None else max(window.cache_high, context.now.cache)
    return limit if limit and high >= bar.FULL * limit else None


def active(context: DiagnosisContext, growth: Growth, window: Window) -> Verdict:
    """Returns the verdict that the floor of *active* rises, or why: arrays that nobody evaluates."""
    kv = grown(window.floors["kv"])
    numbers = {**_rate(growth), "active": float(context.now.active)}
    floor = next(v for v in window.floors["active"] if v is not None)
    census = agreed(context, window.start, floor, growth.grown)
    left = unexplained(census, floor, growth.grown) if census else None
    if census and left and (held := holders(census)):
        numbers["unexplained"] = left
        words, advice = told(held)
        return Verdict("not evaluated", window.start, numbers, {"gauge": "active", **words}, advice)
    generations = len(context.events(GenerationFinished, window.start))
    if generations >= 3:
        numbers["per_generation"] = growth.grown / generations
    cause = "unknown"
    if kv is not None:
        numbers["kv_grown"] = kv
        if kv >= bar.EXPLAINS * growth.grown:
            cause = "kv"
        elif context.steps_are == "tokens":
            cause = "other"
    if cause == "kv":
        advice = (
            "--max-kv-size caps the KV cache, --kv-bits makes it smaller. Press n to forget the conversation."
        )
    elif cause == "other":
        advice = f"It is not the KV cache. {CENSUS}"
    else:
        advice = f"{CENSUS} If it is a KV cache, cap it (RotatingKVCache) or quantize it (--kv-bits)."
    more, words = _ceiling(context, growth.slope.value, mlx=True)
    if not _evaluates(context, window):
        words, advice = {**words, "evals": "none"}, f"{UNSEEN} {advice}"
    return Verdict("active grows", window.start, {**numbers, **more}, {"cause": cause, **words}, advice)


def _evaluates(context: DiagnosisContext, window: Window) -> bool:
    """Returns whether an evaluation was seen, where they are counted."""
    return window.steps > 0 or context.steps_are != "evals"


def beyond(context: DiagnosisContext, growth: Growth, window: Window) -> Verdict:
    """Returns the verdict that the process grows outside MLX: a graph that nobody evaluates is there, too."""
    held = context.now.total if context.unified else 0
    numbers = {**_rate(growth), "beyond": float(context.now.footprint - held)}
    if context.now.footprint == UNKNOWN:
        del numbers["beyond"]
    seen, census = _evaluates(context, window), telling(context, window.start)
    if census and not seen and (graph := holders(census)):
        words, advice = told(graph)
        gauge = {"gauge": "memory outside MLX"}
        return Verdict("not evaluated", window.start, numbers, {**gauge, **words}, advice)
    more, words = _ceiling(context, growth.slope.value, mlx=False)
    advice = (
        "MLX's limits do not affect it: check what the program keeps outside MLX arrays (text, images, "
        "batches, logs). Press G to run Python's garbage collector; tracemalloc shows what is still held."
    )
    if not seen:
        words, advice = {**words, "evals": "none"}, f"{UNSEEN} {advice}"
    return Verdict("not MLX", window.start, {**numbers, **more}, words, advice)


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
    context: DiagnosisContext, slope: float, mlx: bool
) -> tuple[Mapping[str, float], Mapping[str, str]]:
    """Returns the ceiling that is reached first and the seconds until then. `mlx`: MLX's memory grows."""
    now = context.now
    held = now.footprint if context.unified and now.footprint != UNKNOWN else now.total
    # MLX frees its cache before it exceeds the device's memory, but it does not know the budget.
    device = context.state.facts.working_set or context.state.facts.memory
    ceilings = [("budget of", context.budget, held), ("device's", device, now.active)]
    if not mlx:
        system = context.state.facts.system_memory or (
            context.state.facts.memory if context.unified else None
        )
        ceilings = [("budget of", context.budget, now.footprint), ("system's", system, now.footprint)]
    rooms = [(size - used, name, size) for name, size, used in ceilings if size and used != UNKNOWN]
    if not rooms:
        return {}, {}
    room, name, size = min(rooms)
    return {"ceiling": size, "until_ceiling": max(0.0, room / slope)}, {"ceiling": name}
