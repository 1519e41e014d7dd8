"""`mlxtop fit`: does a model fit, and with which context lengths?"""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlxtop.cli import options
from mlxtop.cli.fit_subject import Subject, ceiling
from mlxtop.cli.fit_training import TrainingOptions, training_answer, training_options
from mlxtop.cli.hard_exit import hard_exit, tell
from mlxtop.cli.values import LengthsParam, SecondsParam
from mlxtop.core.budget import BudgetSpec
from mlxtop.core.files import put
from mlxtop.core.text import block
from mlxtop.core.units import DEFAULT, Size
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
  mlxtop fit --model PATH --train lora --batch 1,2,4 --seq 1k,2k --budget 16G
\b
Exit codes: 0 everything fits, 1 something does not fit or is uncertain, 2 wrong usage, 130 Ctrl-C.
"""
)
@options.MODEL(required=True)
@options.BUDGET("[default: the memory of this machine or its GPU]")
@click.option(
    "--context",
    "lengths",
    type=LengthsParam(),
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
    help="Time limit for the measurement; what does not finish in time is extrapolated.",
)
@training_options
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

    With --train it runs mlx-lm's own validation and training steps instead, on random tokens, for each batch
    size and sequence length. Batches that take too long are extrapolated from smaller ones.
    """
    from mlxtop.cli.fit_text import WIDTH, text
    from mlxtop.fit.measure import Settings
    from mlxtop.mlx import backend, device

    asked = TrainingOptions.taken(values)
    check_kv_cache(values["max_kv_size"], values["kv_bits"])
    backend.check()
    facts = device.facts()
    subject = Subject(model, ceiling(budget, facts), facts, cache_limit, within, values["seed"])
    answer = training_answer(subject, asked) if asked else _answer(subject, lengths, Settings(**values))
    if markdown is not None:
        put(markdown, answer.markdown(), tell)
    width = WIDTH if sys.stdout.isatty() else None
    click.echo(json.dumps(answer.to_json(), indent=2) if as_json else block(text(answer, width)))
    hard_exit(INTERRUPTED if answer.study.interrupted else 0 if answer.fits else 1)


def _answer(subject: Subject, lengths: tuple[int, ...] | None, settings: "Settings") -> "Answer":
    from mlxtop.fit.answer import Answer
    from mlxtop.fit.study import contexts, study
    from mlxtop.inference import architecture
    from mlxtop.mlx import device
    from mlxtop.system import footprint

    built, config = subject.plan()
    before = footprint.reader()()
    positions = architecture.positions(config)
    with subject.measuring(built, "generation") as (weights, until):
        found = study(
            built,
            architecture.vocabulary(config),
            weights,
            lengths or contexts(positions),
            settings,
            subject.budget,
            device.room(subject.facts),
            until - time.monotonic(),
            subject.progress.read,
        )
    return Answer(
        subject.model,
        architecture.describe(config),
        weights,
        subject.budget,
        settings,
        subject.limit(),
        subject.facts,
        positions,
        found,
        before,
    )
