"""`mlxtop fit`: does a model fit, and with which context lengths?"""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlxtop.cli import options
from mlxtop.cli.hard_exit import hard_exit, tell
from mlxtop.cli.values import ContextsParam, SecondsParam
from mlxtop.core.budget import Budget, BudgetSpec, resolve
from mlxtop.core.errors import MlxtopError
from mlxtop.core.facts import Facts
from mlxtop.core.files import put
from mlxtop.core.text import block
from mlxtop.core.units import DEFAULT, Size, format_size
from mlxtop.inference.options import check_kv_cache

if TYPE_CHECKING:
    from mlxtop.fit.answer import Answer
    from mlxtop.fit.measure import Settings

INTERRUPTED = 130


@click.command(
    epilog="""\b
Try:
  mlxtop fit --model mlx-community/Llama-3.3-70B-Instruct-4bit
  mlxtop fit --model PATH --budget 12G --context 4k,32k --kv-bits 8
  mlxtop fit --model PATH --context 128k --within 60          most of it extrapolated
  mlxtop fit --model PATH --json | jq '.contexts[] | [.context, .verdict]'
\b
Exit codes: 0 every context fits, 1 one does not fit or is uncertain, 2 wrong usage, 130 Ctrl-C.
"""
)
@options.MODEL(required=True)
@options.BUDGET("[default: the memory of this machine or its GPU]")
@click.option(
    "--context",
    "lengths",
    type=ContextsParam(),
    metavar="N,N…",
    help="Context lengths in tokens: 4096,32768 or 4k,32k. [default: several, up to the model's maximum]",
)
@options.KV_BITS()
@options.MAX_KV_SIZE()
@options.CACHE_LIMIT(default=DEFAULT)
@options.PREFILL_STEP_SIZE()
@options.MAX_TOKENS(default=16, show_default=True)
@click.option(
    "--within",
    type=SecondsParam(1),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="Time limit for the measurement; contexts that do not finish in time are extrapolated.",
)
@options.SEED()
@options.JSON("One object.")
@options.MARKDOWN()
def fit(
    model: str,
    budget: BudgetSpec | None,
    lengths: tuple[int, ...] | None,
    cache_limit: Size,
    within: float,
    as_json: bool,
    markdown: Path | None,
    **values: Any,
) -> int:
    """Measure whether a model fits on this machine, and with which context lengths.

    Builds the model from its config with random weights in the configured quantization. For each context it
    runs mlx-lm's prefill and decodes a few tokens. From the Hub it downloads only the config and the
    tokenizer. A context that would take longer than --within, or more memory than is free, is extrapolated
    from the part that was measured. The result states the error.
    """
    from mlxtop.cli.fit_text import WIDTH, text
    from mlxtop.fit.measure import Settings
    from mlxtop.mlx import backend

    check_kv_cache(values["max_kv_size"], values["kv_bits"])
    backend.check()
    answer = _answer(model, budget, lengths, cache_limit, within, Settings(**values))
    if markdown is not None:
        put(markdown, answer.markdown(), tell)
    width = WIDTH if sys.stdout.isatty() else None
    click.echo(json.dumps(answer.to_json(), indent=2) if as_json else block(text(answer, width)))
    hard_exit(INTERRUPTED if answer.study.interrupted else 0 if answer.fits else 1)


def _answer(
    model: str,
    spec: BudgetSpec | None,
    lengths: tuple[int, ...] | None,
    cache_limit: Size,
    within: float,
    settings: "Settings",
) -> "Answer":
    from mlxtop.fit.answer import Answer
    from mlxtop.fit.measure import build
    from mlxtop.fit.study import contexts, study
    from mlxtop.inference import architecture, hub
    from mlxtop.inference.failure import explain
    from mlxtop.inference.options import Options
    from mlxtop.mlx import device, hooks
    from mlxtop.system import footprint

    facts = device.facts()
    ceiling = _budget(spec, facts)
    options, doing = Options(model=model), "load"
    progress = _Progress()
    try:
        with hub.progress(progress.fetched):
            built, config, _folder = architecture.plan(model, settings.seed, ceiling.bytes)
        before = footprint.reader()()
        until = time.monotonic() + within
        weights = build(built, progress.built, until)
        if cache_limit != DEFAULT:
            hooks.apply({"cache": int(cache_limit)})
        positions = architecture.positions(config)
        doing = "generation"
        found = study(
            built,
            architecture.vocabulary(config),
            weights,
            lengths or contexts(positions),
            settings,
            ceiling,
            device.room(facts),
            until - time.monotonic(),
            progress.read,
        )
    except (MlxtopError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise MlxtopError(explain(doing, options, error)) from error
    finally:
        progress.end()
    limit = hooks.defaults()["cache"] if cache_limit == DEFAULT else int(cache_limit)
    return Answer(
        model,
        architecture.describe(config),
        weights,
        ceiling,
        settings,
        limit,
        facts,
        positions,
        found,
        before,
    )


def _budget(spec: BudgetSpec | None, facts: Facts) -> Budget:
    from mlxtop.mlx import device

    found = resolve(spec, facts, "from --budget") if spec is not None else None
    if found is not None:
        return found
    size, source = device.ceiling(facts)
    return Budget(size, source, "footprint" if facts.unified else "device")


class _Progress:
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
