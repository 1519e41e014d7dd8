"""The progress of `mlxtop fit`."""

import sys
import time
from typing import TYPE_CHECKING

import click

from mlxtop.core.units import format_size

if TYPE_CHECKING:
    from mlxtop.fit.training.measure import Shape


class Progress:
    """Progress on standard error: one changing line on a terminal, otherwise a line per stage."""

    def __init__(self) -> None:
        self._alive = sys.stderr.isatty()
        self._stage, self._due = "", 0.0

    def fetched(self, done: int, total: int) -> None:
        self._tell("config and tokenizer", f"{format_size(done)} of {format_size(total)}", done == total)

    def built(self, done: int, total: int) -> None:
        self._tell("weights", f"{format_size(done)} of {format_size(total)}", done == total)

    def read(self, context: int, done: int) -> None:
        what = "decoding" if done == context else f"{done:,} read"
        self._tell(f"context {context:,}", what, done == context)

    def trained(self, shape: "Shape", checkpoint: bool) -> None:
        how = "with gradient checkpointing" if checkpoint else "validation and training"
        self._tell("training", f"{shape.batch:,} × {shape.seq:,} tokens, {how}", True)

    def end(self) -> None:
        if self._alive and self._stage:
            click.echo("\r\x1b[K", nl=False, err=True)

    def _tell(self, stage: str, what: str, last: bool) -> None:
        if not self._alive:
            if stage != self._stage:
                click.echo(f"mlxtop: {stage}", err=True)
        elif last or time.monotonic() >= self._due:
            self._due = time.monotonic() + 0.1
            click.echo(f"\r\x1b[K{stage}: {what}", nl=False, err=True)
        self._stage = stage
