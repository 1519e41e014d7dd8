"""What a run is asked to do."""

from dataclasses import dataclass, field
from typing import Final, Literal

from mlxtop.core.errors import UsageError
from mlxtop.core.limits import LimitName
from mlxtop.core.units import Size

Workload = Literal["chat", "loop", "ramp"]
FOREVER = -1
KV_BITS: Final = (2, 3, 4, 6, 8)
"""What MLX quantizes to."""


@dataclass(frozen=True, slots=True)
class Options:
    """One run. Sizes are bytes or `DEFAULT`; `None` leaves the choice to mlx-lm or to the workload."""

    model: str | None = None
    """A Hub repository or a local directory; `None` is the demo model."""
    prompt: str | None = None
    workload: Workload = "ramp"
    max_tokens: int = 256
    repeat: int = FOREVER
    """How many generations (`loop`) or walks through all lengths (`ramp`)."""
    limits: dict[LimitName, Size] = field(default_factory=dict)
    max_kv_size: int | None = None
    kv_bits: int | None = None
    prefill_step_size: int = 2048
    adapter_path: str | None = None
    random_weights: bool = False
    """The model's architecture with weights of no meaning, which need no download."""
    budget: int | None = None
    """Bytes that a model's weights must not be more than."""
    to_the_end: bool = False
    """Every generation is `max_tokens` long: a token that ends a text ends nothing."""
    seed: int = 0

    @property
    def name(self) -> str:
        """What to call the model on a screen."""
        return self.model if self.model is not None else "demo"


def check_kv_cache(max_kv_size: object, kv_bits: object) -> None:
    """Raises `UsageError` where both are wanted."""
    if max_kv_size and kv_bits:
        raise UsageError(
            "max-kv-size and kv-bits exclude each other: mlx-lm cannot quantize a rotating KV cache."
        )


def check_weights(model: str | None, adapter_path: str | None, random_weights: bool) -> None:
    """Raises `UsageError` where random weights have no model to stand for, or adapters to be under."""
    if random_weights and (adapter_path or not model):
        raise UsageError("--random-weights stands for a --model's own, and takes no --adapter-path.")
