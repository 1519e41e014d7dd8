"""Fine-tuning by mlx-lm: what is trained, and mlx-lm's own training loop on random tokens.

Everything that depends on how mlx-lm trains is in this file.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from typing import Any, Final, Literal, NamedTuple

from mlxtop.core.errors import MlxtopError, UsageError

Kind = Literal["lora", "dora", "full"]
Stage = Literal["validate", "train"]
KINDS: Final = ("lora", "dora", "full")
OPTIMIZERS: Final = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "adafactor": "Adafactor", "muon": "Muon"}
"""mlx-lm's names of the optimizers, and MLX's classes."""
LAYERS = 16
"""How many layers mlx-lm trains by default."""
RANK = 8
STEPS = 2
"""Training steps of one measurement. Each is like any later one: the optimizer's state exists before."""
NEVER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained. The defaults are those of `mlx_lm.lora`."""

    kind: Kind = "lora"
    layers: int | None = None
    """How many layers are trained, the last ones; -1: all; `None`: mlx-lm's 16, or all of a smaller model."""
    rank: int = RANK
    """The rank of the adapters."""
    optimizer: str = "adam"

    def __str__(self) -> str:
        adapters = "" if self.kind == "full" else f" of rank {self.rank}"
        names = {"lora": "LoRA", "dora": "DoRA", "full": "full fine-tuning"}
        return names[self.kind] + adapters


class Sizes(NamedTuple):
    """What training holds beside activations, in bytes."""

    weights: int
    """All weights, adapters included."""
    trained: int
    """The weights that are trained. Their gradients take as much."""
    optimizer: int
    """The state of the optimizer."""

    @property
    def kept(self) -> int:
        """What is held all the time."""
        return self.weights + self.optimizer


def prepare(model: Any, recipe: Recipe) -> int:
    """Freezes `model` (an `nn.Module`), but for what `recipe` trains. Returns how many layers that are.

    Nothing is computed. Raises `UsageError` for more layers than the model has, and `MlxtopError` for a model
    that mlx-lm cannot train so.
    """
    from mlx_lm.tuner.utils import linear_to_lora_layers

    have = len(model.layers)
    if recipe.layers is not None and recipe.layers > have:
        raise UsageError(f"--num-layers is {recipe.layers}, and the model has only {have}.")
    layers = min(LAYERS, have) if recipe.layers is None else recipe.layers
    layers = have if layers < 0 else layers
    model.freeze()
    with _refusing(recipe):
        if recipe.kind == "full":
            for layer in model.layers[-layers:]:
                if any("scales" in module for module in layer.modules()):
                    raise MlxtopError("Quantized weights cannot be trained: choose others, or --train lora.")
                layer.unfreeze()
        else:
            adapters = {"rank": recipe.rank, "dropout": 0.0, "scale": 20.0}
            linear_to_lora_layers(model, layers, adapters, use_dora=recipe.kind == "dora")
    return layers


def sizes(model: Any, recipe: Recipe) -> Sizes:
    """The sizes of a prepared model, by shapes: nothing is computed."""
    from mlxtop.mlx import breakdown

    optimizer = _optimizer(recipe)
    with _refusing(recipe):
        optimizer.init(model.trainable_parameters())
    return Sizes(breakdown.weights(model), _nbytes(model.trainable_parameters()), _nbytes(optimizer.state))


def train(
    model: Any, vocabulary: int, recipe: Recipe, shape: tuple[int, int], checkpoint: bool,
    began: Callable[[], None], ended: Callable[[Stage], None],
) -> None:  # fmt: skip
    """Runs mlx-lm's trainer on the calling thread: one batch of validation, then `STEPS` steps.

    `shape` is (sequences, tokens of each): every sequence is random and full. `checkpoint` is mlx-lm's
    gradient checkpointing. `began` is called before the first batch of a stage, with nothing queued; `ended`
    after each batch. Raises `MlxtopError` for a model that mlx-lm cannot train so.
    """
    import mlx.core as mx
    from mlx_lm.tuner import trainer

    batch, length = shape
    optimizer = _optimizer(recipe)

    def batches(dataset: "_Data", **_: Any) -> Iterator[tuple[Any, Any]]:
        tokens = mx.random.randint(0, vocabulary, shape)
        spans = mx.array([[0, length]] * batch)
        mx.eval(tokens, spans)
        began()
        for _step in range(1 if dataset.stage == "validate" else STEPS):
            yield tokens, spans
            ended(dataset.stage)
        if dataset.stage == "train":
            raise _Done

    asked = trainer.TrainingArgs(
        batch_size=batch,
        iters=NEVER,
        val_batches=-1,
        steps_per_report=NEVER,
        steps_per_eval=NEVER,
        steps_per_save=NEVER,
        max_seq_length=length,
        grad_checkpoint=checkpoint,
    )
    with _refusing(recipe), _unpatched(model), redirect_stdout(StringIO()), suppress(_Done):
        optimizer.init(model.trainable_parameters())
        mx.eval(optimizer.state)
        trainer.train(
            model, optimizer, _Data("train", batch), _Data("validate", batch), asked, iterate_batches=batches
        )


class _Done(Exception):
    """Enough steps were trained. It ends mlx-lm's loop before anything is saved."""


class _Data:
    """Stands for a data set of one batch."""

    def __init__(self, stage: Stage, batch: int) -> None:
        self.stage, self._batch = stage, batch

    def __len__(self) -> int:
        return self._batch


def _optimizer(recipe: Recipe) -> Any:
    from mlx import optimizers

    return getattr(optimizers, OPTIMIZERS[recipe.optimizer])(learning_rate=1e-5)


def _nbytes(tree: Any) -> int:
    from mlx.utils import tree_flatten

    flat: Any = tree_flatten(tree)
    return sum(array.nbytes for _, array in flat)


@contextmanager
def _unpatched(model: Any) -> Iterator[None]:
    """mlx-lm's gradient checkpointing replaces a method of the layers' class, for good: it is put back."""
    layer = type(model.layers[0])
    own = vars(layer).get("__call__")
    try:
        yield
    finally:
        if own is not None:
            layer.__call__ = own
        elif "__call__" in vars(layer):
            del layer.__call__


@contextmanager
def _refusing(recipe: Recipe) -> Iterator[None]:
    try:
        yield
    except (MlxtopError, _Done):
        raise
    except Exception as error:
        # A layer without a gradient, or one that takes no adapter: each architecture fails in its own way.
        cause = " ".join(str(error).split()).rstrip(".")
        raise MlxtopError(
            f"mlx-lm cannot train this model by {recipe}: {type(error).__name__}: {cause}."
        ) from error
