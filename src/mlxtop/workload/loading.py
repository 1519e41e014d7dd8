"""A model and its tokenizer by what the options name: the demo, a checkpoint, or an architecture alone."""

import threading
from collections.abc import Callable
from typing import Any

from mlxtop.core.event import Kind
from mlxtop.workload import architecture, demo, hub
from mlxtop.workload.options import Options


def load(options: Options, emit: Callable[..., None]) -> tuple[Any, Any]:
    """The model, its weights not yet evaluated, and the tokenizer. A download is a phase of its own, with its
    progress. Raises whatever mlx-lm, the Hub or MLX raise."""
    if options.model is None:
        model, tokenizer = demo.load(options.seed)
    else:
        model, tokenizer = _fetch(options.model, options, emit)
    if options.to_the_end:
        tokenizer.eos_token_ids = ()
    return model, tokenizer


def _fetch(name: str, options: Options, emit: Callable[..., None]) -> tuple[Any, Any]:
    from mlx_lm import load as load_checkpoint

    downloading = threading.Event()

    def downloaded(done: int, total: int) -> None:
        """Some bytes came from the Hub. Called by the threads that fetch them."""
        if not downloading.is_set():
            downloading.set()
            emit(Kind.PHASE, phase="download")
        emit(Kind.PROGRESS, phase="download", done=done, total=total)

    with hub.progress(downloaded):
        if options.random_weights:
            model, tokenizer = architecture.load(name, options.seed)
        else:
            model, tokenizer = load_checkpoint(name, adapter_path=options.adapter_path, lazy=True)[:2]
    if downloading.is_set():
        emit(Kind.PHASE, phase="load")
    return model, tokenizer
