"""Random weights of a model's own sizes: each array is made when evaluated, and nothing large beside it."""

import math
from typing import Any

SMALL = 2**22
"""Elements up to which an array keeps what its layer begins with: norms must be ones, states must decay."""
BLOCK = 256
"""Rows of a large array that are drawn; the rest repeat them. Memory is the same, and it takes no time."""


def fill(model: Any, dtype: str, seed: int) -> None:
    """Gives `model`, an `nn.Module` not evaluated yet, weights: in `dtype`, where they are not packed."""
    import mlx.core as mx
    from mlx.utils import tree_flatten

    mx.random.seed(seed)
    cast = getattr(model, "cast_predicate", lambda _name: True)
    modules = dict(model.named_modules())
    flat: Any = tree_flatten(model.parameters())
    made: dict[int, Any] = {}
    for name, array in flat:
        # An array under two names stays one.
        if id(array) not in made:
            path, _, leaf = name.rpartition(".")
            kind = getattr(mx, dtype) if cast(name) else mx.float32
            if "scales" in modules.get(path, ()) and leaf in ("weight", "scales", "biases"):
                made[id(array)] = _packed(modules[path], leaf, array, kind)
            else:
                made[id(array)] = _plain(array, kind)
    model.load_weights([(name, made[id(array)]) for name, array in flat])


def _plain(array: Any, dtype: Any) -> Any:
    import mlx.core as mx

    floating = mx.issubdtype(array.dtype, mx.floating)
    if array.size <= SMALL:
        return array.astype(dtype) if floating else array
    if not floating:
        return mx.zeros(array.shape, array.dtype)
    block = mx.random.normal((BLOCK, array.shape[-1]), dtype=dtype, scale=array.shape[-1] ** -0.5)
    return _repeat(block, array.shape)


def _packed(module: Any, leaf: str, array: Any, dtype: Any) -> Any:
    """Quantized weights that come to the spread a layer of this width begins with."""
    import mlx.core as mx

    mode = getattr(module, "mode", "affine")
    spread = (module["scales"].shape[-1] * module.group_size) ** -0.5
    if leaf == "weight":
        # The top bit of an 8-bit float's exponent stays 0: all ones would be no number.
        mask = 0xBFBF if mode == "mxfp8" else 0xFFFF
        block = (BLOCK, 2 * array.shape[-1])
        # MLX draws integers by way of float32, which has no 32 bits to give.
        halves = mx.random.randint(0, 2**16, block, mx.uint16) & mx.array(mask, mx.uint16)
        return _repeat(halves.view(mx.uint32), array.shape)
    if mode == "affine":
        scale = spread * math.sqrt(12) / 2**module.bits
        middle = -scale * (2**module.bits - 1) / 2
        return mx.full(array.shape, scale if leaf == "scales" else middle, dtype)
    # A scale is a byte: only an exponent of 2, or an 8-bit float whose exponent ends at -6.
    power = round(math.log2(spread / 3))
    return mx.full(array.shape, (max(power, -6) + 7) << 3 if mode == "nvfp4" else power + 127, mx.uint8)


def _repeat(block: Any, shape: tuple[int, ...]) -> Any:
    import mlx.core as mx

    # Taken, not broadcast: a repetition that stayed a view would hold no memory.
    return mx.take(block, mx.arange(math.prod(shape[:-1])) % BLOCK, axis=0).reshape(shape)
