"""`python -m benchmarks.subjects.shape FOLDER`: a checkpoint of an 8B Llama's shape, random, in 4 bits.

Shape: https://huggingface.co/meta-llama/Llama-3.1-8B/blob/main/config.json. 4.5 GB; needs 20 GB of memory.
"""

import json
import sys
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten
from mlx_lm.models.llama import Model, ModelArgs
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

CONFIG = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "rms_norm_eps": 1e-5,
    "vocab_size": 128256,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "max_position_embeddings": 131072,
    "eos_token_id": 128255,
    "torch_dtype": "bfloat16",
}
QUANTIZATION = {"group_size": 64, "bits": 4}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    mx.random.seed(0)
    model = Model(ModelArgs.from_dict(CONFIG))
    model.set_dtype(mx.bfloat16)
    nn.quantize(model, **QUANTIZATION)
    mx.eval(model.parameters())
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    (folder / "config.json").write_text(json.dumps({**CONFIG, "quantization": QUANTIZATION}))
    _write_tokenizer(folder)


def _write_tokenizer(folder: Path) -> None:
    """One token a byte, and as many more as the shape has room for: whatever comes out can be printed."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    more = [f" w{n}" for n in range(int(str(CONFIG["vocab_size"])) - len(letters) - 1)]
    core = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate([*letters, *more, "</s>"])}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
