"""The options of a run."""

from dataclasses import dataclass, field
from typing import Final, Literal

from mlxtop.core.errors import UsageError
from mlxtop.core.limits import LimitName
from mlxtop.core.units import Size

Workload = Literal["chat", "loop", "ramp"]
FOREVER = -1
KV_BITS: Final = (2, 3, 4, 6, 8)
"""The bits to which MLX can quantize a KV cache."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one run. Sizes are bytes or `DEFAULT`; `None` is mlx-lm's or the workload's default."""

    model: str | None = None
    """A Hub repository or a local directory; `None` is the demo model."""
    prompt: str | None = None
    workload: Workload = "ramp"
    max_tokens: int = 256
    repeat: int = FOREVER
    """The number of generations (`loop`) or of passes through all lengths (`ramp`)."""
    limits: dict[LimitName, Size] = field(default_factory=dict)
    max_kv_size: int | None = None
    kv_bits: int | None = None
    prefill_step_size: int = 2048
    adapter_path: str | None = None
    random_weights: bool = False
    """Whether the model gets random weights, which need no download."""
    budget: int | None = None
    """The most bytes of weights."""
    trace: str | None = None
    """The file for a trace of every allocation, empty for one of its own; `None`: no trace."""
    to_the_end: bool = False
    """Whether every generation has `max_tokens` tokens; end-of-text tokens are then ignored."""
    seed: int = 0

    @property
    def name(self) -> str:
        """The model's name on the screen."""
        return self.model if self.model is not None else "demo"


def check_kv_cache(max_kv_size: object, kv_bits: object) -> None:
    """Raises `UsageError` if both are given."""
    if max_kv_size and kv_bits:
        raise UsageError(
            "max-kv-size and kv-bits exclude each other: mlx-lm cannot quantize a rotating KV cache."
        )


def check_weights(model: str | None, adapter_path: str | None, random_weights: bool) -> None:
    """Raises `UsageError` for random weights without a model or with adapters."""
    if random_weights and (adapter_path or not model):
        raise UsageError("--random-weights needs --model and excludes --adapter-path.")
