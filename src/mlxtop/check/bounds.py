"""The bounds that a program is to keep."""

from typing import Literal, NamedTuple, get_args

from mlxtop.core.sample import Sample
from mlxtop.core.units import format_rate, format_size

Gauge = Literal["peak", "total", "cache", "footprint", "buffers"]
Quantity = Gauge | Literal["growth"]
GAUGES: tuple[Gauge, ...] = get_args(Gauge)


class Bound(NamedTuple):
    """The most that is allowed of a quantity: bytes, buffers, or bytes a second of growth."""

    quantity: Quantity
    allowed: float
    span: str = "min"
    """The span of time by which a growth is told: a key of `core.units.SPANS`."""

    def format(self, value: float | None) -> str:
        """A value of the quantity with its unit."""
        if value is None:
            return "—"
        if self.quantity == "growth":
            return format_rate(value, self.span)
        return f"{value:,.0f}" if self.quantity == "buffers" else format_size(round(value))


def read(gauge: Gauge, sample: Sample) -> int:
    """The most of a gauge that a sample tells of: since the sample before it, where that is known."""
    match gauge:
        case "peak":
            # The program may have reset its peak since.
            return max(sample.active, sample.peak, sample.high)
        case "total":
            return max(sample.total, sample.high)
        case _:
            return int(getattr(sample, gauge))
