"""One reading of MLX's allocator, and the difference of two."""

from typing import NamedTuple

from mlxtop.core.units import Units, format_size


class Snapshot(NamedTuple):
    """One reading of MLX's allocator. Sizes are bytes.

    Source: `Memory.Snapshot` of mlx-swift, https://swiftpackageindex.com/ml-explore/mlx-swift
    """

    active: int
    """Bytes in live arrays (`mx.get_active_memory`)."""
    cache: int
    """Bytes in freed buffers that are kept for reuse (`mx.get_cache_memory`)."""
    peak: int
    """The highest `active` since the last reset (`mx.get_peak_memory`); it does not include `cache`."""
    time: float = 0.0
    """Seconds: `time.monotonic()` of the process, or since the session began."""

    @property
    def total(self) -> int:
        """What MLX holds: active + cache, bytes."""
        return self.active + self.cache

    def delta(self, later: "Snapshot") -> "Snapshot":
        """Returns `later` minus this snapshot, field by field; `time` is the seconds between them."""
        return Snapshot(
            later.active - self.active,
            later.cache - self.cache,
            later.peak - self.peak,
            later.time - self.time,
        )

    def describe(self, units: Units = "binary") -> str:
        """Returns three lines, `Peak`, `Active` and `Cache`, each with the exact bytes in parentheses."""
        rows = (("Peak:", self.peak), ("Active:", self.active), ("Cache:", self.cache))
        return "\n".join(f"{name:<7} {format_size(size, units)} ({size})" for name, size in rows)

    def __str__(self) -> str:
        return self.describe()
