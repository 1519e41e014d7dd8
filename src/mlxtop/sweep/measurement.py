"""One measurement of a sweep, and the metrics it contains."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from mlxtop.core.units import format_size

Kind = Literal["rate", "span", "size"]


class Metric(NamedTuple):
    """A metric: its heading, its kind, and whether a higher value is better."""

    title: str
    kind: Kind
    higher_is_better: bool = False

    def format(self, value: float | None) -> str:
        if value is None or value != value:
            return "—"
        if self.kind == "size":
            return format_size(round(value))
        if self.kind == "span":
            return f"{value * 1000:.0f} ms" if value < 0.9995 else f"{value:.2f} s"
        return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


METRICS: dict[str, Metric] = {
    "tps": Metric("tokens/s", "rate", True),
    "ttft": Metric("first token", "span"),
    "prefill": Metric("prefill tok/s", "rate", True),
    "value": Metric("metric", "rate", True),
    "seconds": Metric("wall time", "span"),
    "active": Metric("peak active", "size"),
    "total": Metric("peak total", "size"),
    "cache": Metric("cache high", "size"),
    "footprint": Metric("footprint", "size"),
}
"""Sizes in bytes, spans in seconds, rates per second. A measurement has only those that were measured."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One repeat of one cell. `busy` is the share of all processors used by other programs meanwhile."""

    round: int
    arm: int
    length: int
    at: float
    """Seconds since the epoch when it began."""
    seconds: float
    """How long it took, including the work between cells."""
    values: dict[str, float]
    busy: float | None = None
    error: str | None = None
    """Why it failed, as a sentence. It then has no values."""

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return {**data, "at": round(self.at, 3), "seconds": round(self.seconds, 4)}

    @classmethod
    def from_json(cls, data: dict[str, Any], arms: int, lengths: int) -> "Measurement":
        """Returns a measurement from JSON, for a plan of `arms` and `lengths`.

        Raises `KeyError`, `TypeError` or `ValueError` if it is not one.
        """
        made = cls(**data)
        numbers = (made.at, made.seconds, *made.values.values(), *(() if made.busy is None else (made.busy,)))
        whole = all(type(n) is int and n >= 0 for n in (made.round, made.arm, made.length))
        if not whole or made.arm >= arms or made.length >= lengths or not set(made.values) <= set(METRICS):
            raise ValueError("it is not a measurement of this plan")
        if not all(type(n) in (int, float) and 0 <= n < 2**63 for n in numbers):
            raise ValueError("a value is not a number")
        if made.error is not None and not isinstance(made.error, str):
            raise ValueError("the error is not text")
        return made
