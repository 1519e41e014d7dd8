"""A model from its `config.json` alone: mlx-lm's architecture, random weights, the configured quantization.

Its memory is the real model's; what it says is noise. All that mlxtop knows of how mlx-lm builds a model is
here.
"""

import inspect
import json
from collections.abc import Callable, Collection
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlxtop.core.errors import MlxtopError
from mlxtop.core.parsing import parse_json
from mlxtop.core.text import one_line
from mlxtop.inference import demo, random_weights, sizes
from mlxtop.mlx import breakdown

FILES = ["*.json", "*.jinja", "*.txt", "*.jsonl", "*.tiktoken", "tokenizer.model"]
"""What of a Hub repository is fetched: what says how the model looks, and the tokenizer."""
INDEX = "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt")
DTYPES = ("float16", "bfloat16", "float32")


class ArchitectureError(MlxtopError):
    """A model that cannot be built from its config, or not here."""


def load(model: str, seed: int, budget: int | None = None) -> tuple[Any, Any]:
    """A model and a tokenizer, as `mlx_lm.load` returns them lazily: no weight is computed yet.

    `model` is a Hub repository or a directory. Raises what `plan` raises.
    """
    built, config, folder = plan(model, seed, budget)
    return built, _tokenizer(folder, vocabulary(config))


def plan(model: str, seed: int, budget: int | None = None) -> tuple[Any, dict[str, Any], Path]:
    """A model not computed yet, its config, and the directory that came from.

    Raises `ArchitectureError`, `SizeError` where the weights are more than `budget` (bytes) or than this
    machine has room for, and what huggingface_hub raises.
    """
    folder = fetch(model)
    built, config = build(folder, seed)
    sizes.check_weights(model, breakdown.weights(built), budget, made=True)
    return built, config, folder


def fetch(model: str) -> Path:
    """The directory with a model's config and tokenizer; of a Hub repository nothing else is downloaded."""
    # mlx-lm's own name for it, which `hub.progress` listens to.
    from mlx_lm import utils

    folder = Path(model)
    return folder if folder.is_dir() else Path(utils.snapshot_download(model, allow_patterns=FILES))


def build(folder: Path, seed: int) -> tuple[Any, dict[str, Any]]:
    """The model that the files in `folder` describe, and its config. No array is computed before it is used.

    Raises `ArchitectureError`, or `SizeError`.
    """
    from mlx_lm import utils

    config = read_config(folder)
    sizes.check_config(config, folder / "config.json")
    names = _names(folder)
    try:
        classes = inspect.signature(utils.load_model).parameters["get_model_classes"].default
        # A directory of its own: the weights that may lie beside the config are not looked at.
        with TemporaryDirectory() as bare:
            (Path(bare) / "config.json").write_text(json.dumps(config), encoding="utf-8")
            model, config = utils.load_model(
                Path(bare),
                lazy=True,
                strict=False,
                get_model_classes=lambda config: _without_weights(classes(config), config, names),
            )
    except MlxtopError:
        raise
    except Exception as error:
        # Whatever a config can make a constructor stumble over.
        raise ArchitectureError(_refusal(folder, config, utils, error)) from error
    random_weights.fill(model, dtype(config), seed)
    return model, config


def read_config(folder: Path) -> dict[str, Any]:
    """The config in `folder`, as mlx-lm reads it. Raises `ArchitectureError`."""
    from mlx_lm import utils

    file = folder / "config.json"
    try:
        config = utils.load_config(folder)
    except FileNotFoundError as error:
        raise ArchitectureError(
            f"{folder} has no config.json, which says what the model looks like."
        ) from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ArchitectureError(f"{file} is not JSON: {error.msg} at {where}.") from error
    except RecursionError as error:
        raise ArchitectureError(f"{file} is nested too deep to be a model's config.") from error
    except (OSError, ValueError) as error:
        raise ArchitectureError(f"{file} cannot be read: {error}.") from error
    except AttributeError:
        config = None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ArchitectureError(f"{file} names no model_type, so no architecture is known for it.")
    return config


def look_up(config: dict[str, Any], name: str) -> Any:
    """`name` in a config or in the part of it that is about text; `None` where neither has it."""
    value = config.get(name)
    text = config.get("text_config")
    return text.get(name) if value is None and isinstance(text, dict) else value


def vocabulary(config: dict[str, Any]) -> int:
    """How many tokens a model knows; a config that does not say gets those of one byte each."""
    size = look_up(config, "vocab_size")
    return size if type(size) is int and size > 0 else demo.VOCABULARY


def positions(config: dict[str, Any]) -> int | None:
    """How many tokens a model was made for, `None` where its config does not say."""
    found = look_up(config, "max_position_embeddings")
    return found if type(found) is int and 0 < found <= sizes.LONGEST else None


def dtype(config: dict[str, Any]) -> str:
    """What the weights are kept in where they are not quantized; a config that does not say means float32."""
    named = look_up(config, "dtype") or look_up(config, "torch_dtype")
    named = str(named).removeprefix("torch.")
    return named if named in DTYPES else "float32"


def describe(config: dict[str, Any]) -> str:
    """The model in a few words: `llama, 32 layers, 4 bits and bfloat16`."""
    words, layers = [one_line(config["model_type"])], look_up(config, "num_hidden_layers")
    words += [f"{layers} layers"] if isinstance(layers, int) else []
    quantization = config.get("quantization")
    bits = quantization.get("bits") if isinstance(quantization, dict) else None
    return ", ".join([*words, f"{bits} bits and {dtype(config)}" if bits else dtype(config)])


# What mlx-lm is told


def _without_weights(
    classes: tuple[Any, type], config: dict[str, Any], names: Collection[str]
) -> tuple[type, type]:
    """The classes for `config`, so that `load_model` gets along without weights.

    `load_model` hands the weights to `sanitize`, between building the layers and quantizing them: there it
    learns from the layers themselves what it otherwise learns from the weights' names.
    """
    model_class: Any
    model_class, args_class = classes
    quantization = _quantization(config)

    class Model(model_class):  # type: ignore[misc]  # mlx-lm ships no types
        def sanitize(self, _: dict[str, Any]) -> dict[str, Any]:
            from mlx.utils import tree_flatten

            weights = dict(tree_flatten(self.parameters()))
            if _tied(config, names):
                weights = {name: array for name, array in weights.items() if "lm_head." not in name}
            if hasattr(model_class, "sanitize"):
                # Some drop a layer here that the weights have no name for.
                super().sanitize(weights)
            if quantization is not None:
                _choose(self, quantization, names)
                config["quantization"] = quantization
            return {}

    Model.__name__ = Model.__qualname__ = model_class.__name__
    Model.__module__ = model_class.__module__
    return Model, args_class


def _quantization(config: dict[str, Any]) -> dict[str, Any] | None:
    """MLX's quantization as the config has it. Raises `ArchitectureError` for one that is not MLX's."""
    own = config.get("quantization")
    if isinstance(own, dict) and {"group_size", "bits"} <= own.keys():
        return deepcopy(own)
    other = look_up(config, "quantization_config")
    if not other:
        return None
    method = str(other.get("quant_method", "an unknown method") if isinstance(other, dict) else other)
    raise ArchitectureError(
        f"The weights are quantized by {one_line(method)}, and only MLX's own quantization has sizes known "
        "from the config: name an MLX conversion of this model."
    )


def _choose(model: Any, quantization: dict[str, Any], names: Collection[str]) -> None:
    """Writes into `quantization` what becomes of each layer that it does not name.

    The names in the checkpoint's index tell; without one, what `mlx_lm.convert` would do.
    """
    chosen = {key: quantization[key] for key in ("group_size", "bits", "mode") if key in quantization}
    wanted: Callable[[str, Any], bool | dict[str, Any]] = getattr(model, "quant_predicate", None) or (
        lambda _path, _module: True
    )
    scaled = {name.removesuffix(".scales") for name in names if name.endswith(".scales")}
    for path, module in model.named_modules():
        if path in quantization or not hasattr(module, "to_quantized"):
            continue
        if names:
            quantization[path] = chosen if path in scaled else False
        elif module.weight.shape[-1] % chosen["group_size"]:
            quantization[path] = False
        else:
            want = wanted(path, module)
            quantization[path] = want if isinstance(want, dict) else chosen if want else False


def _names(folder: Path) -> frozenset[str]:
    """What the weights are called, from the checkpoint's index; none where there is no index."""
    try:
        index = parse_json((folder / INDEX).read_text(encoding="utf-8"))
        return frozenset(index["weight_map"])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def _tied(config: dict[str, Any], names: Collection[str]) -> bool:
    """Whether the embedding serves as the last layer too, so that the weights have none."""
    if names:
        return not any("lm_head." in name for name in names)
    tied = look_up(config, "tie_word_embeddings")
    return True if tied is None else bool(tied)


def _tokenizer(folder: Path, size: int) -> Any:
    """The model's tokenizer, else one of a token a byte. No token ends a text: chance would soon draw it."""
    if not any((folder / name).exists() for name in TOKENIZERS):
        return demo.tokenizer(size)
    from mlx_lm.utils import load_tokenizer

    tokenizer = load_tokenizer(folder)
    tokenizer.eos_token_ids = set()
    return tokenizer


def _refusal(folder: Path, config: dict[str, Any], utils: Any, error: Exception) -> str:
    kind, file = one_line(config["model_type"]), folder / "config.json"
    if "get_model_classes" not in inspect.signature(utils.load_model).parameters:
        return "This mlx-lm builds models in a way mlxtop does not know: install mlx-lm 0.32."
    if "not supported" in str(error):
        return f"mlx-lm has no architecture {kind}, which {file} names: update mlx-lm, or name another model."
    cause = one_line(" ".join(str(error).split()).rstrip("."))
    return f"{file} does not describe a {kind} that mlx-lm can build: {type(error).__name__}: {cause}."
