"""`mlxtop fit` as a shell runs it."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.forked import mlxtop_each
from tests.hub import REPO, hub
from tests.process import MLXTOP, ROOT, mlxtop

pytestmark = pytest.mark.usefixtures("processes")

CONFIG = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 1, "intermediate_size": 128,
    "num_attention_heads": 1, "num_key_value_heads": 1, "rms_norm_eps": 1e-5, "vocab_size": 300,
    "tie_word_embeddings": False, "torch_dtype": "float32", "max_position_embeddings": 4096,
    "quantization": {"group_size": 64, "bits": 4},
}  # fmt: skip
QUICK = ("--prefill-step-size", "64", "--max-tokens", "4")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


def fit(model: Path | str, *options: str, **how: Any) -> Any:
    return mlxtop("fit", "--model", str(model), *QUICK, *options, **how)


def test_an_answer_is_a_table_its_notes_and_a_sentence(model: Path) -> None:
    done = fit(model, "--context", "100,1k", "--budget", "100G")
    assert done.returncode == 0, done.stderr
    about, table, notes, sentence = done.stdout.strip().split("\n\n")
    assert (
        " ".join(about.split()).split(" budget ")[0]
        == f"{model}: llama, 1 layers, 4 bits and float32; weights 49.2 KiB"
    )
    head, *rows = table.splitlines()
    assert head.split() == ["context", "active", "total", "footprint", "KV", "cache", "left"]
    size = r"\d+\.\d+ [KMG]iB"
    assert re.fullmatch(rf" +100( +{size}){{5}}  fits", rows[0])
    assert re.fullmatch(rf" +1,024( +{size}){{5}}  fits", rows[1])
    measured, had = notes.splitlines()
    assert measured == "contexts without a sign are measured"
    assert re.fullmatch(rf"each footprint includes {size} from before the weights were loaded: .*", had)
    assert " ".join(sentence.split()).startswith(f"{model} fits in 100.0 GiB with 1,024 tokens, ")
    assert done.stderr.splitlines() == ["mlxtop: weights", "mlxtop: context 100", "mlxtop: context 1,024"]


def test_json_tells_every_number_with_where_it_comes_from(model: Path) -> None:
    done = fit(model, "--context", "700", "--json", "--cache-limit", "1M")
    told = json.loads(done.stdout)
    assert 2**24 < told["footprint_before"] < told["contexts"][0]["footprint"]["value"]
    (row,) = told["contexts"]
    assert (row["source"], row["verdict"], row["run_tokens"], row["at_most"]) == (
        "measured",
        "fits",
        700,
        False,
    )
    assert row["peak_active"]["value"] <= row["peak_total"]["value"] <= row["footprint"]["value"]
    # One layer, one head of 64 floats, keys and values, in rounds of 256 tokens.
    assert row["kv"] == {"value": 2 * 64 * 4 * 768, "margin": 0}
    assert row["left"] == told["budget"]["bytes"] - row["footprint"]["value"]
    assert told["settings"]["cache_limit"] == 2**20
    assert told["fits"]


def test_what_does_not_fit_is_exit_code_1_and_how_much_too_much(model: Path) -> None:
    done = fit(model, "--context", "100", "--budget", "1M")
    assert done.returncode == 1
    assert re.search(
        r"does not fit in 1\.0 MiB: 100 tokens exceed it by \d+\.\d MiB\.", " ".join(done.stdout.split())
    )


def test_a_context_beyond_the_time_is_extrapolated_with_its_error(model: Path) -> None:
    done = fit(model, "--context", "2k,1024k", "--within", "2", "--budget", "100G", "--json")
    _, row = json.loads(done.stdout)["contexts"]
    assert row["source"] == "extrapolated"
    assert row["kv"]["value"] == pytest.approx(2 * 64 * 4 * 2**20, rel=0.01)
    assert row["peak_active"]["margin"] > 0


def test_markdown_has_the_same_table(model: Path) -> None:
    out = model / "answer.md"
    done = fit(model, "--context", "100", "--markdown", str(out))
    lines = out.read_text().splitlines()
    assert lines[0] == "**" + " ".join(done.stdout.split("\n\n")[-1].split()) + "**"
    assert lines[2].startswith("| context | active |")
    assert lines[3].startswith("| ---: |")
    assert lines[4].startswith("| 100 |")


def test_ctrl_c_tells_what_was_measured(model: Path) -> None:
    command = [*MLXTOP, "fit", "--model", str(model), *QUICK, "--context", "64,1024k", "--json"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "context 1,048,576" in line:
            break
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    told = json.loads(out)
    assert process.returncode == 130
    assert told["interrupted"]
    assert told["contexts"][0]["source"] == "measured"
    assert told["contexts"][1]["stopped"] == "interrupt"


def test_a_repository_is_asked_for_its_config_only(model: Path, tmp_path: Path) -> None:
    (model / "model.safetensors").write_bytes(b"never asked for")
    with hub(model) as (address, served):
        env = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
        done = fit(REPO, "--context", "64", env=env)
    assert done.returncode == 0, done.stderr
    assert set(served) == {"config.json"}


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--context", "4096,x"), 2, "'x' is not a context length; an example is 4k,32768."),
        (("--context", "0"), 2, "'0' is not a context length"),
        (("--kv-bits", "8", "--max-kv-size", "64"), 2, "exclude each other"),
        (("--kv-bits", "5"), 2, "'5' is not one of"),
        (("--budget", "16GB Mac"), 2, "has no public number"),
        (("--markdown", "/no/such/folder/a.md", "--context", "64"), 1, "cannot be written: No such file"),
    ],
)
def test_what_is_asked_wrongly_is_said_in_a_sentence(
    model: Path, options: tuple[str, ...], code: int, said: str
) -> None:
    done = fit(model, *options)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_too_large_is_told_before_it_is_built(model: Path) -> None:
    many = model / "many"
    many.mkdir()
    (many / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": 10**9}))
    small, deep = mlxtop_each(
        [["fit", "--model", str(model), "--budget", "10K"], ["fit", "--model", str(many)]]
    )
    assert (small.returncode, small.stdout) == (1, "")
    assert "are 49.2 KiB, more than the budget of 10.0 KiB" in small.stderr
    assert (deep.returncode, deep.stdout) == (1, "")
    assert "num_hidden_layers is 1,000,000,000, and must be from 0 to 1,000." in deep.stderr


def test_weights_that_take_longer_than_the_time_named_are_told(model: Path) -> None:
    """15 GiB in small pieces: a second is enough for the first few, or there is no room for them here."""
    sizes = {
        "hidden_size": 8192,
        "intermediate_size": 28672,
        "num_hidden_layers": 30,
        "num_attention_heads": 64,
    }
    huge = {**CONFIG, **sizes, "num_key_value_heads": 8}
    (model / "config.json").write_text(json.dumps(huge))
    done = fit(model, "--within", "1", "--context", "64")
    assert done.returncode == 1
    assert "were created within the time limit" in done.stderr or "memory that are free now" in done.stderr


def test_no_model_no_config_no_network(tmp_path: Path) -> None:
    assert "Missing option '--model'" in mlxtop("fit").stderr
    none = fit(tmp_path)
    assert (none.returncode, none.stdout) == (1, "")
    assert "has no config.json" in none.stderr
    env = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    away = fit("mlxtop/tiny", env=env)
    assert away.returncode == 1
    assert away.stderr.startswith(
        "mlxtop: Could not load mlxtop/tiny: no such directory, and the Hub cannot be"
    )


def test_training_options_asked_wrongly_are_said_in_a_sentence(model: Path) -> None:
    wanted = {
        ("--batch", "2"): (2, "--batch needs --train."),
        ("--train", "lora", "--kv-bits", "8"): (2, "--kv-bits is for contexts and has no effect on --train"),
        ("--train", "full", "--lora-rank", "4"): (2, "full fine-tuning has no adapters"),
        ("--train", "lora", "--seq", "1"): (2, "'1' is not a sequence length; an example is 512,2k."),
        ("--train", "lora", "--num-layers", "0"): (2, "'0' is not a whole number from 1"),
        ("--train", "lora", "--num-layers", "3"): (2, "--num-layers is 3, and the model has only 1."),
        ("--train", "full"): (1, "Quantized weights cannot be trained"),
    }
    done = mlxtop_each([["fit", "--model", str(model), *options] for options in wanted])
    for (code, said), told in zip(wanted.values(), done, strict=True):
        assert said in told.stderr
        assert "Traceback" not in told.stderr
        assert told.returncode == code
