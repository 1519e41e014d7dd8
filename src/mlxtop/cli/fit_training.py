"""`mlxtop fit --train`: its options, and its answer."""

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mlxtop.cli import options
from mlxtop.cli.fit_subject import Subject
from mlxtop.cli.values import COUNT, CountParam, LengthsParam
from mlxtop.core.errors import UsageError
from mlxtop.inference.finetuning import KINDS, LAYERS, OPTIMIZERS, RANK, Recipe

if TYPE_CHECKING:
    from mlxtop.fit.training.answer import TrainingAnswer

BATCH, SEQ = (4,), (2048,)
"""mlx-lm's defaults."""
TRAINING = ("batch", "seq", "grad_checkpoint", "num_layers", "lora_rank", "optimizer")
GENERATION = ("lengths", "kv_bits", "max_kv_size", "prefill_step_size", "max_tokens")
"""The parameters that count only with `--train`, and only without."""


class LayersParam(CountParam):
    """A number of layers from 1, or -1 for all."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return -1 if str(value).strip() == "-1" else super().convert(value, param, ctx)


training_options = options.group(
    click.option(
        "--train",
        type=click.Choice(KINDS),
        metavar="|".join(KINDS),
        help="Measure training by mlx_lm.lora instead of contexts: adapters, or all weights of the layers.",
    ),
    click.option(
        "--batch",
        type=LengthsParam("a batch size", "1,2,4"),
        default=BATCH,
        metavar="N,N…",
        help="With --train: sequences of a batch. Each size is combined with each of --seq.  [default: 4]",
    ),
    click.option(
        "--seq",
        type=LengthsParam("a sequence length", "512,2k", least=2),
        default=SEQ,
        metavar="N,N…",
        help="With --train: tokens of each sequence, as --max-seq-length of mlx_lm.lora.  [default: 2048]",
    ),
    click.option(
        "--grad-checkpoint",
        is_flag=True,
        help="With --train: use gradient checkpointing. Without it, what does not fit is tried both ways.",
    ),
    click.option(
        "--num-layers",
        "--lora-layers",
        "num_layers",
        type=LayersParam(),
        metavar="N",
        help=f"With --train: how many layers, the last ones; -1 is all.  [default: {LAYERS}, or all]",
    ),
    click.option(
        "--lora-rank",
        type=COUNT,
        default=RANK,
        show_default=True,
        metavar="N",
        help="With --train lora or dora: rank of the adapters.",
    ),
    click.option(
        "--optimizer",
        type=click.Choice(tuple(OPTIMIZERS)),
        default="adam",
        show_default=True,
        metavar="NAME",
        help=f"With --train: {', '.join(OPTIMIZERS)}.",
    ),
)


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """The values of `training_options`."""

    recipe: Recipe
    shapes: tuple[tuple[int, int], ...]
    """Sequences and tokens of each."""
    checkpoint: bool

    @classmethod
    def taken(cls, values: dict[str, Any]) -> "TrainingOptions | None":
        """Takes these options out of click's `values`; `None` without `--train`.

        Raises `UsageError` for options that do not belong together.
        """
        train = values["train"]
        _check(train)
        batches, seqs, checkpoint, layers, rank, optimizer = (values.pop(name) for name in TRAINING)
        if values.pop("train") is None:
            return None
        return cls(Recipe(train, layers, rank, optimizer), tuple(product(batches, seqs)), checkpoint)


def _check(train: str | None) -> None:
    context = click.get_current_context()
    wrong = TRAINING if train is None else GENERATION
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in wrong
        and context.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT
    ]
    if given and train is None:
        raise UsageError(f"{given[0]} needs --train.")
    if given:
        raise UsageError(f"{given[0]} is for contexts and has no effect on --train: leave it out.")
    if train == "full" and context.get_parameter_source("lora_rank") is not ParameterSource.DEFAULT:
        raise UsageError("--lora-rank needs --train lora or dora: full fine-tuning has no adapters.")


def training_answer(subject: Subject, asked: TrainingOptions) -> "TrainingAnswer":
    """Builds the model, trains it and returns what that needs. Raises `MlxtopError`."""
    from mlxtop.fit.training.answer import TrainingAnswer
    from mlxtop.fit.training.measure import Shape
    from mlxtop.fit.training.study import Trainee, check_sizes, study
    from mlxtop.inference import architecture, finetuning
    from mlxtop.mlx import device
    from mlxtop.system import footprint

    recipe = asked.recipe
    built, config = subject.plan()
    layers = finetuning.prepare(built, recipe)
    sizes, room = finetuning.sizes(built, recipe), device.room(subject.facts)
    check_sizes(sizes, recipe, subject.budget, room)
    before = footprint.reader()()
    with subject.measuring(built, "training") as (_weights, until):
        vocabulary = architecture.vocabulary(config)
        trainee = Trainee(built, vocabulary, recipe, sizes, room, until, subject.progress.trained)
        found = study(trainee, [Shape(*shape) for shape in asked.shapes], asked.checkpoint, subject.budget)
    return TrainingAnswer(
        subject.model,
        architecture.describe(config),
        recipe,
        (layers, len(built.layers)),
        sizes,
        subject.budget,
        subject.limit(),
        asked.checkpoint,
        subject.facts,
        architecture.positions(config),
        found,
        before,
    )
