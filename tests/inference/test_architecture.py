"""A model from its config alone, against the same model truly loaded."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlxtop.inference.sizes import SizeError, check_config
from tests.checkpoint import write_checkpoint, write_checkpoints
from tests.fit.shapes import KINDS, bare, run
from tests.forked import Done, mlxtop_each
from tests.hub import REPO, hub
from tests.process import mlxtop

pytestmark = pytest.mark.usefixtures("processes")

LLAMA = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128,
    "num_attention_heads": 4, "num_key_value_heads": 4, "rms_norm_eps": 1e-5, "vocab_size": 300,
    "tie_word_embeddings": False, "torch_dtype": "float32",
}  # fmt: skip
MOE = {
    "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "decoder_sparse_step": 1,
    "mlp_only_layers": [], "norm_topk_prob": True, "head_dim": 32,
}  # fmt: skip
MIXED = {
    "bits": 4,
    "model.layers.0.mlp.down_proj": {"group_size": 64, "bits": 8},
    "model.embed_tokens": {"group_size": 32, "bits": 6},
}


def describe(folder: Path, config: Any) -> Path:
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return folder


TRUE: dict[str, dict[str, Any]] = {
    "bfloat16": {"dtype": "bfloat16"},
    "mixed": {"dtype": "bfloat16", "quantization": MIXED},
    "mxfp4": {"dtype": "float16", "quantization": {"group_size": 32, "mode": "mxfp4"}},
    "gemma3_text": {
        "architecture": "gemma3_text", "dtype": "bfloat16", "quantization": {"bits": 8}, "extra": KINDS["gemma3_text"]
    },
    "mixtral": {
        "architecture": "mixtral", "dtype": "float16", "quantization": {"bits": 4}, "extra": KINDS["mixtral"]
    },
    "qwen3_moe": {"architecture": "qwen3_moe", "dtype": "bfloat16", "quantization": {"bits": 3}, "extra": MOE},
    "qwen2": {"architecture": "qwen2", "quantization": {"bits": 4}, "extra": {"tie_word_embeddings": True}},
    "indexed": {"quantization": {"bits": 4}},
}  # fmt: skip
Weights = dict[str, list[Any]]


@pytest.fixture(scope="module")
def true(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with true checkpoints, written by one process."""
    folder = tmp_path_factory.mktemp("true")
    write_checkpoints({folder / name: {"hidden": 128, **options} for name, options in TRUE.items()})
    return folder


@pytest.fixture(scope="module")
def loaded(true: Path) -> dict[str, Weights]:
    """The weights of each, truly loaded."""
    return by_name(run("parameters", "loaded", *[str(true / name) for name in TRUE]))


@pytest.fixture(scope="module")
def built(true: Path, loaded: dict[str, Weights]) -> dict[str, Weights]:
    """The weights of each, built from its config; one has the index of its weights beside it."""
    folders = {name: bare(true / name) for name in TRUE}
    names = [name for name in loaded["indexed"] if ".q_proj.s" not in name]
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "model.safetensors")}
    (folders["indexed"] / "model.safetensors.index.json").write_text(json.dumps(index))
    return by_name(run("parameters", "built", *map(str, folders.values())))


def by_name(found: dict[str, Weights]) -> dict[str, Weights]:
    return {Path(folder).name.removesuffix("-bare"): weights for folder, weights in found.items()}


@pytest.mark.parametrize("name", [name for name in TRUE if name != "indexed"])
def test_every_weight_has_the_shape_and_type_of_the_true_one(
    name: str, built: dict[str, Weights], loaded: dict[str, Weights]
) -> None:
    assert built[name] == loaded[name]


def test_the_index_of_a_checkpoint_tells_what_is_quantized_and_tied(built: dict[str, Weights]) -> None:
    assert "model.layers.0.self_attn.k_proj.scales" in built["indexed"]
    assert "model.layers.0.self_attn.q_proj.scales" not in built["indexed"]


MODES = {"affine": (64, 4), "mxfp4": (32, 4), "nvfp4": (16, 4), "mxfp8": (32, 8)}


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What random weights take in each mode: large enough that most is repeated, with one matrix not quantized."""
    shape = {"hidden_size": 256, "intermediate_size": 512, "vocab_size": 20_001}
    folders = {mode: tmp_path_factory.mktemp(mode) for mode in MODES}
    for mode, (group, bits) in MODES.items():
        quantization = {"group_size": group, "bits": bits, "mode": mode, "lm_head": False}
        describe(folders[mode], {**LLAMA, **shape, "quantization": quantization})
    found = run("built", *map(str, folders.values()))
    return {mode: found[str(folder)] for mode, folder in folders.items()}


@pytest.mark.parametrize("mode", MODES)
def test_weights_take_their_bytes_and_nothing_beside_them(
    mode: str, taken: dict[str, dict[str, Any]]
) -> None:
    found = taken[mode]
    assert found["lazy"] < 2**16
    assert found["weights"] > 20 * 2**20
    assert found["active"] == pytest.approx(found["weights"], rel=0.001)
    assert found["peak"] < 1.02 * found["weights"]
    assert found["finite"]
    assert 1 < found["spread"] < 100, "neither all alike nor beyond a float"


def test_weights_that_lie_beside_the_config_are_not_looked_at(tmp_path: Path) -> None:
    true = write_checkpoint(tmp_path / "model")
    (true / "model.safetensors").write_bytes(b"no weights")
    assert run("built", str(true))[str(true)]["finite"]


# As the commands say it


def headless(model: Path | str, **options: Any) -> Any:
    return mlxtop(
        "--headless", "--model", str(model), "--random-weights", "--prompt", "hello", "--max-tokens", "40", **options
    )  # fmt: skip


def test_a_config_is_enough_to_watch_a_model(tmp_path: Path) -> None:
    done = headless(describe(tmp_path, LLAMA))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Generations:          1 (40 tokens" in done.stdout


def test_no_token_ends_what_random_weights_say(tmp_path: Path) -> None:
    true = write_checkpoint(tmp_path / "model", vocabulary=300)
    (true / "model.safetensors").unlink()
    config = json.loads((true / "config.json").read_text())
    # Two tokens, of which one would end the text: by chance that is soon.
    done = headless(describe(true, {**config, "eos_token_id": list(range(1, 300))}))
    assert "1 (40 tokens" in done.stdout


def test_a_vocabulary_smaller_than_the_bytes(tmp_path: Path) -> None:
    done = headless(describe(tmp_path, {**LLAMA, "vocab_size": 40}))
    assert (done.returncode, done.stderr) == (0, "")


def test_of_a_repository_config_and_tokenizer_are_fetched_and_no_weights(tmp_path: Path) -> None:
    true = write_checkpoint(tmp_path / "model")
    with hub(true) as (address, served):
        env = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
        done = headless(REPO, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(served) == {"config.json", "tokenizer.json", "tokenizer_config.json"}


def test_no_network(tmp_path: Path) -> None:
    env = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    done = headless("mlxtop/tiny", env=env)
    assert done.returncode == 1
    assert "the Hub cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


HUGE = {
    **LLAMA,
    "hidden_size": 65536,
    "intermediate_size": 262144,
    "num_hidden_layers": 100,
    "num_attention_heads": 512,
}


CANNOT_BE: list[tuple[Any, str]] = [
    (None, "has no config.json, which describes the model's architecture."),
    ('{"model_type": "llama",', "config.json is not JSON: Expecting property name"),
    ("[1, 2]", "config.json has no model_type"),
    ({"hidden_size": 3}, "config.json has no model_type"),
    ({**LLAMA, "model_type": "nobody"}, "mlx-lm has no architecture nobody"),
    ({"model_type": "llama"}, "mlx-lm cannot build a llama from"),
    ({**LLAMA, "num_attention_heads": 0}, "mlx-lm cannot build a llama from"),
    ({**LLAMA, "model_type": "\x1b[31mred"}, "mlx-lm has no architecture ␛[31mred"),
    ({**LLAMA, "quantization_config": {"quant_method": "awq", "bits": 4}}, "The weights are quantized by awq"),
    (HUGE, "more than the memory of this machine"),
    ({**LLAMA, "num_hidden_layers": 10**9}, "num_hidden_layers is 1,000,000,000, and must be from 0 to 1,000."),
    ("[" * 100_000, "config.json is nested too deep"),
]  # fmt: skip


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> list[Done]:
    """What is said to each config of `CANNOT_BE`."""
    folders = [tmp_path_factory.mktemp("model") for _ in CANNOT_BE]
    for folder, (config, _) in zip(folders, CANNOT_BE, strict=True):
        if config is not None:
            describe(folder, config)
    return mlxtop_each([["--headless", "--model", str(folder), "--random-weights"] for folder in folders])


@pytest.mark.parametrize("n", range(len(CANNOT_BE)), ids=[said for _, said in CANNOT_BE])
def test_what_cannot_be_built_is_said_in_one_sentence(n: int, refusals: list[Done]) -> None:
    assert refusals[n].returncode == 1
    assert CANNOT_BE[n][1] in refusals[n].stderr
    assert refusals[n].stderr.count("\n") == 1


NO_SIZES: list[dict[str, Any]] = [
    {"num_hidden_layers": 0}, {"num_hidden_layers": -3}, {"num_hidden_layers": "2"}, {"num_hidden_layers": 2.5},
    {"num_hidden_layers": True}, {"num_hidden_layers": [2]}, {"num_hidden_layers": 10**400}, {"hidden_size": float("nan")},
    {"hidden_size": -64}, {"hidden_size": "\x1b[2J" * 100}, {"vocab_size": 10**12}, {"vocab_size": 0}, {"vocab_size": {}},
    {"num_experts": 10**9}, {"n_routed_experts": -1}, {"num_nextn_predict_layers": 1e300}, {"n_layers": float("inf")},
    {"num_hidden_layers": 1000, "num_local_experts": 1000}, {"text_config": {"num_hidden_layers": 10**9}},
    {"text_config": {"hidden_size": None, "vocab_size": -1}}, {"vision_config": {"x": {"num_layers": 10**9}}},
]  # fmt: skip


@pytest.mark.parametrize("other", NO_SIZES, ids=lambda other: repr(other)[:60])
def test_a_config_whose_numbers_cannot_be_is_refused_before_anything_is_built(other: dict[str, Any]) -> None:
    with pytest.raises(SizeError) as refused:
        check_config({**LLAMA, **other}, Path("config.json"))
    said = str(refused.value)
    assert "\x1b" not in said
    assert said.startswith("config.json")
    assert said.endswith(".")


@pytest.mark.parametrize(
    "other",
    [
        {}, {"num_experts": 0}, {"num_experts": None}, {"n_routed_experts": 384, "num_hidden_layers": 61}, {"num_layers": "x"},
        {"intermediate_size": [1, 2]}, {"text_config": {}}, {"vocab_size": None}, {"num_hidden_layers": 126}, {"time_step": float("inf")},
    ],
    ids=repr,
)  # fmt: skip
def test_a_config_that_can_be_is_left_to_mlx_lm(other: dict[str, Any]) -> None:
    check_config({**LLAMA, **other}, Path("config.json"))


def test_a_checkpoint_larger_than_the_budget_is_not_loaded(checkpoint: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    describe(copy, {**json.loads((copy / "config.json").read_text()), "num_hidden_layers": 10**9})
    small = ["--headless", "--model", str(checkpoint), "--budget", "10K"]
    *large, deep = mlxtop_each([small, [*small, "--random-weights"], ["--headless", "--model", str(copy)]])
    for done in large:
        assert done.returncode == 1
        assert "more than the budget of 10.0 KiB" in done.stderr
        assert done.stderr.count("\n") == 1
    assert deep.returncode == 1
    assert "num_hidden_layers is 1,000,000,000" in deep.stderr


def test_random_weights_stand_for_a_models_own() -> None:
    for options in (["--random-weights"], ["--model", "m", "--random-weights", "--adapter-path", "a"]):
        done = mlxtop("--headless", *options)
        assert done.returncode == 2
        assert "--random-weights needs --model" in done.stderr


def test_a_copied_checkpoint_is_left_as_it_was(checkpoint: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    before = {file.name: file.read_bytes() for file in copy.iterdir()}
    assert headless(copy).returncode == 0
    assert {file.name: file.read_bytes() for file in copy.iterdir()} == before
