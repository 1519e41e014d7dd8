"""Loads the model and tokenizer that the options name: the demo, a checkpoint, or random weights."""

import gc
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from mlxtop.core.events import PhaseChanged, ProgressMade
from mlxtop.inference import architecture, demo, hub, sizes
from mlxtop.inference.options import Options
from mlxtop.mlx import breakdown
from mlxtop.mlx.controller import Emit


def load(options: Options, emit: Emit) -> tuple[Any, Any]:
    """Returns the model, its weights not evaluated yet, and the tokenizer.

    A download is reported as a phase with its progress. Raises any error of mlx-lm, the Hub or MLX.
    """
    _prepare()
    if options.model is None:
        model, tokenizer = demo.load(options.seed)
    else:
        model, tokenizer = _fetch(options.model, options, emit)
    if options.to_the_end:
        tokenizer.eos_token_ids = ()
    return model, tokenizer


@cache
def _prepare() -> None:
    """Imports mlx-lm once, and excludes everything imported so far from garbage collection.

    A full collection would stop all threads for 65 ms each time. It is done before the model is loaded,
    because a census finds arrays through the collector's list of objects.
    """
    import mlx_lm  # noqa: F401 - so that `gc.freeze` includes it

    gc.freeze()


def _check(folder: str) -> None:
    """Raises `SizeError` for a checkpoint with impossible sizes. mlx-lm reports a config it cannot read."""
    with suppress(architecture.ArchitectureError):
        sizes.check_config(architecture.read_config(Path(folder)), Path(folder) / "config.json")


def _fetch(name: str, options: Options, emit: Emit) -> tuple[Any, Any]:
    from mlx_lm import load as load_checkpoint

    downloading = threading.Event()

    def downloaded(done: int, total: int) -> None:
        """Reports progress. Called by the downloading threads."""
        if not downloading.is_set():
            downloading.set()
            emit(PhaseChanged("download"))
        emit(ProgressMade("download", done, total))

    with hub.progress(downloaded, _check):
        if options.random_weights:
            model, tokenizer = architecture.load(name, options.seed, options.budget)
        else:
            if Path(name).is_dir():
                _check(name)
            model, tokenizer = load_checkpoint(name, adapter_path=options.adapter_path, lazy=True)[:2]
            # The arrays are not read yet, but their sizes are known from the files' headers.
            sizes.check_weights(name, breakdown.weights(model), options.budget, made=False)
    if downloading.is_set():
        emit(PhaseChanged("load"))
    return model, tokenizer
