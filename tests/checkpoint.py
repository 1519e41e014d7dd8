"""A checkpoint directory as `mlx_lm.load` takes it, small enough to write for every test.

`python -m tests.checkpoint '{"FOLDER": {}}'` does it in a process of its own: MLX's streams belong to the thread
that made them, so a process whose tests run an engine's thread had better not make this one too.
"""

import argparse
import contextlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BOS, EOS = "<s>", "</s>"
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"
)
TEXT = (
    "the cache keeps freed buffers so that the next step can reuse them",
    "active memory is what live arrays hold, and peak is the most it ever was",
    "a limit set to zero returns every buffer to the system at once",
    "user: what is the weather like? assistant: it rains, and the wind is cold",
)


def make_checkpoint(
    folder: Path,
    *,
    architecture: str = "llama",
    layers: int = 2,
    hidden: int = 64,
    heads: int = 4,
    vocabulary: int = 400,
    chat_template: bool = True,
    seed: int = 0,
    dtype: str | None = None,
    quantization: dict[str, Any] | None = None,
    extra: dict[str, Any] | None = None,
) -> Path:
    """Writes a model with random weights and a real tokenizer into `folder`, and returns it.

    An `architecture` that mlx-lm does not have gets a Llama's weights: its load fails like a stranger's.
    `extra` goes into the config, `dtype` and `quantization` are what `mlx_lm.convert` makes of them.
    Runs MLX in the calling process, on the CPU.
    """
    import mlx.core as mx
    from mlx.utils import tree_flatten

    folder.mkdir(parents=True, exist_ok=True)
    size = _write_tokenizer(folder, vocabulary, chat_template)
    config = {
        "model_type": architecture,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": 2 * hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "rms_norm_eps": 1e-5,
        "vocab_size": size,
        "max_position_embeddings": 4096,
        "rope_theta": 10_000.0,
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
        **(extra or {}),
    }
    with mx.stream(mx.cpu):
        mx.random.seed(seed)
        try:
            made = importlib.import_module(f"mlx_lm.models.{architecture}")
        except ModuleNotFoundError:
            made = importlib.import_module("mlx_lm.models.llama")
        model = made.Model(made.ModelArgs.from_dict(config))
        if dtype:
            config["torch_dtype"] = dtype
            model.set_dtype(getattr(mx, dtype))
        if quantization:
            model, config = _quantized(model, config, quantization)
        weights = dict(tree_flatten(model.parameters()))
        if config["tie_word_embeddings"]:
            weights = {name: array for name, array in weights.items() if "lm_head." not in name}
        mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    return folder


def _quantized(model: Any, config: dict[str, Any], asked: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """As `mlx_lm.convert -q` does it; a layer whose path is in `asked` gets what is said there."""
    from mlx_lm.utils import quantize_model

    whole = {"group_size": 64, "bits": 4, **{k: v for k, v in asked.items() if not isinstance(v, dict)}}
    own = getattr(model, "quant_predicate", lambda _path, _module: True)
    with contextlib.redirect_stdout(sys.stderr):
        model, config = quantize_model(
            model, config, **whole, quant_predicate=lambda path, module: asked.get(path, own(path, module))
        )
    return model, config


def write_checkpoint(folder: Path, **options: object) -> Path:
    """`make_checkpoint` in a process of its own: safe whatever this process does with MLX."""
    write_checkpoints({folder: options})
    return folder


def write_checkpoints(wanted: Mapping[Path, Mapping[str, object]]) -> None:
    """Several by one process: each folder with its options. Importing mlx-lm takes longer than all of them."""
    told = json.dumps({str(folder): options for folder, options in wanted.items()})
    env = {**os.environ, "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.checkpoint", told],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"no checkpoint: {done.stderr}")


def _write_tokenizer(folder: Path, vocabulary: int, chat_template: bool) -> int:
    """A byte-level BPE with a begin and an end; returns how many tokens it came to."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(TEXT, trainer)
    core.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, 0)]
    )
    core.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 4096,
    }
    if chat_template:
        config["chat_template"] = TEMPLATE
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    return core.get_vocab_size()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wanted", help="make_checkpoint's options by folder, as JSON")
    for folder, options in json.loads(parser.parse_args().wanted).items():
        make_checkpoint(Path(folder), **options)
