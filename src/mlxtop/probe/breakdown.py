"""How much of the active memory is weights and how much KV cache, measured from the arrays themselves."""

from collections.abc import Iterable
from typing import Any


def weights(model: Any) -> int:
    """Bytes of all distinct arrays in `model` (an `nn.Module`); a tied array counts once."""
    from mlx.utils import tree_flatten

    arrays = {id(array): array.nbytes for _, array in tree_flatten(model.parameters())}
    return sum(arrays.values())


def kv(cache: Iterable[Any]) -> int:
    """Bytes that a prompt cache (mlx-lm's list of one cache a layer) holds now, room for growth included."""
    return sum(int(layer.nbytes) for layer in cache)
