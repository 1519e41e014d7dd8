"""Builds a model from its `config.json`: mlx-lm's architecture, random weights, the configured quantization.

It uses as much memory as the real model; its output is meaningless. Everything that depends on how mlx-lm
builds a model is in this file.
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
"""The files of a Hub repository that are downloaded: the architecture and the tokenizer."""
INDEX = "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt")
DTYPES = ("float16", "bfloat16", "float32")


class ArchitectureError(MlxtopError):
    """The model cannot be built from its config."""


def load(model: str, seed: int, budget: int | None = None) -> tuple[Any, Any]:
    """Returns a model and a tokenizer, like a lazy `mlx_lm.load`: no weight is computed yet.

    `model` is a Hub repository or a directory. Raises the errors of `plan`.
    """
    built, config, folder = plan(model, seed, budget)
    return built, _tokenizer(folder, vocabulary(config))


def plan(model: str, seed: int, budget: int | None = None) -> tuple[Any, dict[str, Any], Path]:
    """Returns a model with no weight computed yet, its config, and the directory of the config.

    Raises `ArchitectureError`, `SizeError` if the weights exceed `budget` (bytes) or this machine's memory,
    and the errors of huggingface_hub.
    """
    folder = fetch(model)
    built, config = build(folder, seed)
    sizes.check_weights(model, breakdown.weights(built), budget, made=True)
    return built, config, folder


def fetch(model: str) -> Path:
    """Returns the directory with a model's config and tokenizer. Nothing else is downloaded from the Hub."""
    # Called by mlx-lm's name for it, which `hub.progress` replaces.
    from mlx_lm import utils

    folder = Path(model)
    return folder if folder.is_dir() else Path(utils.snapshot_download(model, allow_patterns=FILES))


def build(folder: Path, seed: int) -> tuple[Any, dict[str, Any]]:
    """Returns the model that the files in `folder` describe, and its config. Its arrays are lazy.

    Raises `ArchitectureError` or `SizeError`.
    """
    from mlx_lm import utils

    config = read_config(folder)
    sizes.check_config(config, folder / "config.json")
    names = _names(folder)
    try:
        classes = inspect.signature(utils.load_model).parameters["get_model_classes"].default
        # In an empty directory, so that mlx-lm does not read weights beside the config.
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
        # An invalid config can cause any exception in a constructor.
        raise ArchitectureError(_refusal(folder, config, utils, error)) from error
    random_weights.fill(model, dtype(config), seed)
    return model, config


def read_config(folder: Path) -> dict[str, Any]:
    """Returns the config in `folder`, as mlx-lm reads it. Raises `ArchitectureError`."""
    from mlx_lm import utils

    file = folder / "config.json"
    try:
        config = utils.load_config(folder)
    except FileNotFoundError as error:
        raise ArchitectureError(
            f"{folder} has no config.json, which describes the model's architecture."
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
        raise ArchitectureError(f"{file} has no model_type, so the architecture is unknown.")
    return config


def look_up(config: dict[str, Any], name: str) -> Any:
    """Returns `name` from a config or from its `text_config`; `None` if neither has it."""
    value = config.get(name)
    text = config.get("text_config")
    return text.get(name) if value is None and isinstance(text, dict) else value


def vocabulary(config: dict[str, Any]) -> int:
    """Returns the size of the model's vocabulary; 256 (one token for each byte) if the config has none."""
    size = look_up(config, "vocab_size")
    return size if type(size) is int and size > 0 else demo.VOCABULARY


def positions(config: dict[str, Any]) -> int | None:
    """Returns the longest context the model was made for, in tokens; `None` if its config has none."""
    found = look_up(config, "max_position_embeddings")
    return found if type(found) is int and 0 < found <= sizes.LONGEST else None


def dtype(config: dict[str, Any]) -> str:
    """Returns the type of weights that are not quantized; float32 if the config has none."""
    named = look_up(config, "dtype") or look_up(config, "torch_dtype")
    named = str(named).removeprefix("torch.")
    return named if named in DTYPES else "float32"


def describe(config: dict[str, Any]) -> str:
    """Returns a short description: `llama, 32 layers, 4 bits and bfloat16`."""
    words, layers = [one_line(config["model_type"])], look_up(config, "num_hidden_layers")
    words += [f"{layers} layers"] if isinstance(layers, int) else []
    quantization = config.get("quantization")
    bits = quantization.get("bits") if isinstance(quantization, dict) else None
    return ", ".join([*words, f"{bits} bits and {dtype(config)}" if bits else dtype(config)])


# How mlx-lm is used


def _without_weights(
    classes: tuple[Any, type], config: dict[str, Any], names: Collection[str]
) -> tuple[type, type]:
    """Returns the classes for `config`, changed so that `load_model` works without weights.

    `load_model` calls `sanitize` with the weights after it builds the layers and before it quantizes them.
    There this class determines from the layers what mlx-lm otherwise reads from the weights' names.
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
                # Some models remove layers here for which there are no weights.
                super().sanitize(weights)
            if quantization is not None:
                _choose(self, quantization, names)
                config["quantization"] = quantization
            return {}

    Model.__name__ = Model.__qualname__ = model_class.__name__
    Model.__module__ = model_class.__module__
    return Model, args_class


def _quantization(config: dict[str, Any]) -> dict[str, Any] | None:
    """Returns MLX's quantization from the config. Raises `ArchitectureError` for any other quantization."""
    own = config.get("quantization")
    if isinstance(own, dict) and {"group_size", "bits"} <= own.keys():
        return deepcopy(own)
    other = look_up(config, "quantization_config")
    if not other:
        return None
    method = str(other.get("quant_method", "an unknown method") if isinstance(other, dict) else other)
    raise ArchitectureError(
        f"The weights are quantized by {one_line(method)}, and mlxtop can compute sizes only for MLX's own "
        "quantization: use an MLX conversion of this model."
    )


def _choose(model: Any, quantization: dict[str, Any], names: Collection[str]) -> None:
    """Adds to `quantization` an entry for each layer that it does not name.

    It follows the names in the checkpoint's index or, without one, the rules of `mlx_lm.convert`.
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
    """Returns the names of the weights from the checkpoint's index; empty without an index."""
    try:
        index = parse_json((folder / INDEX).read_text(encoding="utf-8"))
        return frozenset(index["weight_map"])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def _tied(config: dict[str, Any], names: Collection[str]) -> bool:
    """Returns whether the embedding is also the last layer, which then has no weights."""
    if names:
        return not any("lm_head." in name for name in names)
    tied = look_up(config, "tie_word_embeddings")
    return True if tied is None else bool(tied)


def _tokenizer(folder: Path, size: int) -> Any:
    """Returns the model's tokenizer, or one with a token for each byte.

    It has no end-of-text token: with random weights that would soon be drawn by chance.
    """
    if not any((folder / name).exists() for name in TOKENIZERS):
        return demo.tokenizer(size)
    from mlx_lm.utils import load_tokenizer

    tokenizer = load_tokenizer(folder)
    tokenizer.eos_token_ids = set()
    return tokenizer


def _refusal(folder: Path, config: dict[str, Any], utils: Any, error: Exception) -> str:
    kind, file = one_line(config["model_type"]), folder / "config.json"
    if "get_model_classes" not in inspect.signature(utils.load_model).parameters:
        return "mlxtop cannot build models with this version of mlx-lm: install mlx-lm 0.32."
    if "not supported" in str(error):
        return f"mlx-lm has no architecture {kind} ({file}): update mlx-lm, or choose another model."
    cause = one_line(" ".join(str(error).split()).rstrip("."))
    return f"mlx-lm cannot build a {kind} from {file}: {type(error).__name__}: {cause}."
