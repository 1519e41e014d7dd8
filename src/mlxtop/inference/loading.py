"""A model and its tokenizer by what the options name: the demo, a checkpoint, or an architecture alone."""

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
    """The model, its weights not yet evaluated, and the tokenizer. A download is a phase of its own, with its
    progress. Raises whatever mlx-lm, the Hub or MLX raise."""
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
    """Imports mlx-lm, once. What is there by now stays until the end, and the collector is told so: each time
    it looked through all of it, nothing else ran for 65 ms. Before there is a model: a census finds it by the
    collector's own list."""
    import mlx_lm  # noqa: F401 - for the collector to know

    gc.freeze()


def _check(folder: str) -> None:
    """Raises `SizeError` for a checkpoint whose config cannot be; one that cannot be read mlx-lm tells of."""
    with suppress(architecture.ArchitectureError):
        sizes.check_config(architecture.read_config(Path(folder)), Path(folder) / "config.json")


def _fetch(name: str, options: Options, emit: Emit) -> tuple[Any, Any]:
    from mlx_lm import load as load_checkpoint

    downloading = threading.Event()

    def downloaded(done: int, total: int) -> None:
        """Some bytes came from the Hub. Called by the threads that fetch them."""
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
            # Its arrays are in its files still: how large they are stands in the files' heads.
            sizes.check_weights(name, breakdown.weights(model), options.budget, made=False)
    if downloading.is_set():
        emit(PhaseChanged("load"))
    return model, tokenizer
