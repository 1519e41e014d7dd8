"""mlxtop: the instrument for MLX memory. Importing it imports neither Textual nor mlx-lm, nor MLX itself."""

# `typing` takes 4 ms to import, in every Python that is started under watch.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from mlxtop.agent.boot import watch
    from mlxtop.api import cache_limit, mark, metrics, phase, snapshot
    from mlxtop.core.snapshot import Snapshot
    from mlxtop.notebook import load_ipython_extension, unload_ipython_extension
    from mlxtop.recording.columns import RecordedData, read_recording
    from mlxtop.training import TrainingCallback

__all__ = [
    "RecordedData",
    "Snapshot",
    "TrainingCallback",
    "cache_limit",
    "load_ipython_extension",
    "mark",
    "metrics",
    "phase",
    "read_recording",
    "snapshot",
    "unload_ipython_extension",
    "watch",
]
__version__ = "0.2.0.dev0"

_HOMES = {
    "RecordedData": "mlxtop.recording.columns",
    "Snapshot": "mlxtop.core.snapshot",
    "TrainingCallback": "mlxtop.training",
    "cache_limit": "mlxtop.api",
    "load_ipython_extension": "mlxtop.notebook",
    "mark": "mlxtop.api",
    "metrics": "mlxtop.api",
    "phase": "mlxtop.api",
    "read_recording": "mlxtop.recording.columns",
    "snapshot": "mlxtop.api",
    "unload_ipython_extension": "mlxtop.notebook",
    "watch": "mlxtop.agent.boot",
}


def __getattr__(name: str) -> object:
    # Found when asked for: the agent in somebody else's program needs none of it.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
