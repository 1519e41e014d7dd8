"""mlxtop: the instrument for MLX memory. Importing it imports neither Textual nor mlx-lm, nor MLX itself."""

from mlxtop.core.snapshot import Snapshot
from mlxtop.probe.program import cache_limit, mark, phase, snapshot

__all__ = ["Snapshot", "cache_limit", "mark", "phase", "snapshot"]
__version__ = "0.1.0"
