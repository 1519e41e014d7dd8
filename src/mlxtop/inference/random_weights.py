"""Random weights with a model's sizes. Each array is created when evaluated, with little extra memory."""

import math
from typing import Any

SMALL = 2**22
"""Arrays of up to this many elements keep their initial values: norms must be ones, states must decay."""
BLOCK = 256
"""Random rows of a large array; the other rows repeat them. It saves time and needs the same memory."""


def fill(model: Any, dtype: str, seed: int) -> None:
    """Sets random weights in `model`, an unevaluated `nn.Module`. Those not quantized are in `dtype`."""
    import mlx.core as mx
    from mlx.utils import tree_flatten

    mx.random.seed(seed)
    cast = getattr(model, "cast_predicate", lambda _name: True)
    modules = dict(model.named_modules())
    flat: Any = tree_flatten(model.parameters())
    made: dict[int, Any] = {}
    for name, array in flat:
        # An array with two names stays one array.
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
    """Returns a part of quantized weights. Their spread is that of a new layer of this width."""
    import mlx.core as mx

    mode = getattr(module, "mode", "affine")
    spread = (module["scales"].shape[-1] * module.group_size) ** -0.5
    if leaf == "weight":
        # The top bit of an 8-bit float's exponent is 0: an exponent of all ones would be NaN.
        mask = 0xBFBF if mode == "mxfp8" else 0xFFFF
        block = (BLOCK, 2 * array.shape[-1])
        # MLX draws integers through float32, which has fewer than 32 random bits.
        halves = mx.random.randint(0, 2**16, block, mx.uint16) & mx.array(mask, mx.uint16)
        return _repeat(halves.view(mx.uint32), array.shape)
    if mode == "affine":
        scale = spread * math.sqrt(12) / 2**module.bits
        middle = -scale * (2**module.bits - 1) / 2
        return mx.full(array.shape, scale if leaf == "scales" else middle, dtype)
    # A scale is one byte: an exponent of 2, or an 8-bit float with an exponent from -6 on.
    power = round(math.log2(spread / 3))
    return mx.full(array.shape, (max(power, -6) + 7) << 3 if mode == "nvfp4" else power + 127, mx.uint8)


def _repeat(block: Any, shape: tuple[int, ...]) -> Any:
    import mlx.core as mx

    # `take`, not a broadcast: a view would need no memory.
    return mx.take(block, mx.arange(math.prod(shape[:-1])) % BLOCK, axis=0).reshape(shape)
