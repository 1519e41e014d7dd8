"""Stormlog's MLX tracker: tells what one of its samples costs, in µs of processor time, batch after batch.

It takes Metal alone; its runtime may be injected, and ours answers with the counters of whatever MLX is here.
"""

import sys
import time
from types import SimpleNamespace
from typing import Any

import mlx.core as mx

from benchmarks.subjects import tell

BATCH = 1_000


class Core:
    """MLX, which says that it has Metal."""

    metal = SimpleNamespace(is_available=lambda: True)

    def __getattr__(self, name: str) -> Any:
        return getattr(mx, name)


def main() -> None:
    # The folder of this file, which has its name, must not stand before it.
    sys.path = [path for path in sys.path if not path.endswith("subjects")]
    from stormlog.mlx.runtime import MLXRuntime
    from stormlog.mlx.tracker import MemoryTracker

    mac = {"platform_system": "Darwin", "platform_machine": "arm64"}
    runtime = MLXRuntime(core=Core(), runtime_version=mx.__version__, **mac)
    tracker = MemoryTracker(3600, runtime=runtime)
    tracker.start_tracking()
    mx.eval(mx.ones(8))
    while True:
        began = time.thread_time()
        for _ in range(BATCH):
            tracker._sample()
        tell(cost=(time.thread_time() - began) / BATCH * 1e6)


if __name__ == "__main__":
    main()
