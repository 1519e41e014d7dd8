"""How much of the active memory is weights and how much KV cache, measured from the arrays themselves."""

from collections.abc import Iterable
from typing import Any


def weights(model: Any) -> int:
    """Bytes of all distinct arrays in `model` (an `nn.Module`); a tied array counts once."""
    return sum(array.nbytes for array in arrays(model))


def arrays(model: Any) -> list[Any]:
    """The distinct arrays in `model`, in its own order."""
    from mlx.utils import tree_flatten

    leaves: Any = tree_flatten(model.parameters())
    return list({id(array): array for _, array in leaves}.values())


def kv(cache: Iterable[Any]) -> int:
    """Bytes that a prompt cache (mlx-lm's list of one cache a layer) holds now, room for growth included."""
    return sum(int(layer.nbytes) for layer in cache)
