"""The measures of a run that are compared, by the names that a condition uses."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from mlxtop.core.units import format_delta, format_size, format_span

Unit = Literal["size", "count", "rate", "span"]


class Measure(NamedTuple):
    """A measure: its title, its unit, and what it is in a few words."""

    title: str
    unit: Unit
    what: str

    def format(self, value: float | None) -> str:
        """A value with its unit; `—` where there is none."""
        if value is None:
            return "—"
        if self.unit == "size":
            return format_size(round(value))
        if self.unit == "span":
            return format_span(value)
        if self.unit == "count":
            return f"{value:,.0f}"
        return (
            f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}"
        )

    def format_difference(self, value: float) -> str:
        """A difference with its sign and unit."""
        if self.unit == "size":
            return format_delta(round(value))
        sign = "-" if value < 0 else "+"
        return f"{sign}{self.format(abs(value))}" if value else self.format(0)


MEASURES: Mapping[str, Measure] = {
    "peak": Measure("peak", "size", "the most that was active: MLX's counter, whatever was reset"),
    "true-peak": Measure("true peak", "size", "the most that was active in a step"),
    "total": Measure("most total", "size", "the most that MLX held: active and cache"),
    "footprint": Measure("most footprint", "size", "the most that the system charged the process"),
    "floor": Measure("floor", "size", "the least that was active after warm-up: in the last quarter"),
    "cache": Measure("most cache", "size", "the most that was in the cache"),
    "buffers": Measure("buffers", "count", "live buffers at most; a trace counts them"),
    "live": Measure("live", "size", "of a trace: what was alive at the peak"),
    "churn": Measure("churn a step", "size", "of a trace: what a step allocates"),
    "steps": Measure("steps/s", "rate", "evaluations or tokens a second of work"),
    "tokens": Measure("tokens/s", "rate", "of a sweep: tokens a second"),
    "prefill": Measure("prefill tok/s", "rate", "of a sweep: prompt tokens a second"),
    "metric": Measure("metric", "rate", "of a sweep: the metric that its command printed"),
    "first-token": Measure("first token", "span", "of a sweep: time to the first token"),
    "seconds": Measure("wall time", "span", "of a sweep: how long its command took"),
}
"""In the order in which they are told. Sizes are bytes, spans are seconds, rates are per second."""
TIMED = ("steps", "tokens", "prefill", "metric", "first-token", "seconds")
"""Those that are compared by intervals: a busy machine changes them."""
