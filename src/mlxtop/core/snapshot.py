"""One reading of MLX's allocator, and the difference of two."""

from typing import NamedTuple

from mlxtop.core.units import Units, format_size


class Snapshot(NamedTuple):
    """What MLX's allocator said at one moment. All sizes are bytes.

    After mlx-swift's `Memory.Snapshot`: https://swiftpackageindex.com/ml-explore/mlx-swift
    """

    active: int
    """In live arrays (`mx.get_active_memory`)."""
    cache: int
    """Freed and kept for reuse (`mx.get_cache_memory`)."""
    peak: int
    """The most `active` has been since the last reset (`mx.get_peak_memory`); it leaves out `cache`."""
    time: float = 0.0
    """Seconds on the clock of whoever took it: `time.monotonic()`, or since a session began."""

    @property
    def total(self) -> int:
        """What MLX holds of the system's memory: active + cache."""
        return self.active + self.cache

    def delta(self, later: "Snapshot") -> "Snapshot":
        """`later` minus this one, field by field; `time` becomes the seconds between them."""
        return Snapshot(
            later.active - self.active,
            later.cache - self.cache,
            later.peak - self.peak,
            later.time - self.time,
        )

    def describe(self, units: Units = "binary") -> str:
        """Three lines, `Peak`, `Active`, `Cache`, each with the exact bytes behind it."""
        rows = (("Peak:", self.peak), ("Active:", self.active), ("Cache:", self.cache))
        return "\n".join(f"{name:<7} {format_size(size, units)} ({size})" for name, size in rows)

    def __str__(self) -> str:
        return self.describe()
