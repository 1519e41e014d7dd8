"""Small models of three kinds, as truly saved checkpoints and as nothing but their config.

`python -m tests.fit.shapes FOLDER …` loads a checkpoint for real and prints what it takes: MLX's streams belong
to the thread that made them, so it is never this process that does it.
"""

import gc
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.checkpoint import ROOT, write_checkpoint

STEP = 16
"""Tokens of a prefill step: few, so that what it works on is small beside the weights, as with a real model. The
order in which MLX's threads free what they are done with then hardly moves the peak."""
VOCABULARY = 16_384
TOKENS = 8

KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "gemma3_text": {
        "tie_word_embeddings": True,
        "head_dim": 64,
        "sliding_window": 128,
        "sliding_window_pattern": 2,
    },
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
}


def checkpoint(folder: Path, kind: str, **options: Any) -> Path:
    """A true checkpoint, quantized in 4 bits."""
    extra = {**KINDS[kind], "num_key_value_heads": 2, "vocab_size": VOCABULARY}
    options = {"quantization": {"bits": 4}, "dtype": "float32", **options}
    return write_checkpoint(folder, architecture=kind, layers=2, extra=extra, **{"hidden": 256, **options})


def bare(checkpoint: Path, *also: str) -> Path:
    """A directory beside `checkpoint` with its config, `also` other files, and no weights."""
    folder = checkpoint.with_name(f"{checkpoint.name}-bare")
    folder.mkdir()
    for name in ("config.json", *also):
        shutil.copy(checkpoint / name, folder)
    return folder


def truth(checkpoint: Path, *runs: tuple[int, dict[str, int]]) -> list[int]:
    """The peak of active memory, in bytes, of each run with the truly loaded model: a context and its settings."""
    told: list[int] = run("peaks", str(checkpoint), json.dumps(runs))
    return told


def run(*arguments: str) -> Any:
    command = [sys.executable, "-m", "tests.fit.shapes", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def peaks(folder: str, runs: str) -> list[int]:
    """mlx-lm as anybody would run it: nothing of mlxtop is imported."""
    import mlx.core as mx
    from mlx_lm import load
    from mlx_lm.generate import generate_step
    from mlx_lm.models.cache import RotatingKVCache

    model, _ = load(folder)[:2]
    found = []
    for context, settings in json.loads(runs):
        asked = {"prefill_step_size": STEP, **settings}
        prompt = mx.random.randint(0, 256, (context,))
        mx.eval(prompt)
        mx.synchronize()
        mx.clear_cache()
        mx.reset_peak_memory()
        if most := asked.get("max_kv_size"):
            asked["prompt_cache"] = [RotatingKVCache(max_size=most, keep=4) for _ in model.layers]
        for _last in generate_step(prompt, model, max_tokens=TOKENS, quantized_kv_start=0, **asked):
            pass
        mx.synchronize()
        found.append(mx.get_peak_memory())
        del _last  # Its logits would count in the next context.
    return found


def extrapolate(folder: str, step: str, done: str, context: str) -> list[dict[str, Any]]:
    """What mlxtop makes of `context` tokens when it stops after `done` of them, three times."""
    from mlxtop.fit.extrapolate import extrapolated
    from mlxtop.fit.measure import Settings, build, run
    from mlxtop.inference import architecture

    model, config = architecture.build(Path(folder), 0)
    weights = build(model, lambda _done, _total: None)
    found = []
    for _ in range(3):
        half = run(
            model,
            architecture.vocabulary(config),
            int(context),
            Settings(max_tokens=TOKENS, prefill_step_size=int(step)),
            lambda steps: "time" if steps[-1].tokens >= int(done) else "",
            lambda _tokens: None,
        )
        need = extrapolated(half, int(context), int(step), weights)
        assert need is not None
        found.append({"done": half.done, "at_most": need.at_most, **need.active._asdict()})
    return found


def crowded(folder: str, room: str) -> list[Any]:
    """Where a study of 100,000 tokens ends with `room` bytes beyond the weights, and what that took."""
    from mlxtop.core.budget import Budget
    from mlxtop.fit.measure import Settings, build
    from mlxtop.fit.study import study
    from mlxtop.inference import architecture

    model, config = architecture.build(Path(folder), 0)
    weights = build(model, lambda _done, _total: None)
    whole = weights + int(room)
    settings = Settings(max_tokens=TOKENS, prefill_step_size=64)
    size = architecture.vocabulary(config)
    tell = lambda _context, _done: None  # noqa: E731
    (row,) = study(model, size, weights, [100_000], settings, Budget(2**40, ""), whole, 120, tell).rows
    assert row.run is not None
    return [row.run.stopped, row.run.done, row.run.peak.total / whole, row.verdict.word]


def parameters(how: str, *folders: str) -> dict[str, dict[str, list[Any]]]:
    """Name, shape and type of every weight: of truly loaded models, or of models built from their configs."""
    from mlx.utils import tree_flatten

    if how == "loaded":
        from mlx_lm import load

        models = {folder: load(folder, lazy=True)[0] for folder in folders}
    else:
        from mlxtop.inference import architecture

        models = {folder: architecture.build(Path(folder), 0)[0] for folder in folders}
    return {
        folder: {name: [list(a.shape), str(a.dtype)] for name, a in tree_flatten(model.parameters())}
        for folder, model in models.items()
    }


def built(*folders: str) -> dict[str, dict[str, Any]]:
    """What building each from its config takes, and whether what such a model says is numbers."""
    return {folder: _built(folder) for folder in folders}


def _built(folder: str) -> dict[str, Any]:
    import mlx.core as mx

    from mlxtop.inference import architecture
    from mlxtop.mlx import breakdown

    gc.collect()
    mx.clear_cache()
    mx.reset_peak_memory()
    model, _ = architecture.build(Path(folder), 0)
    before, weights = mx.get_active_memory(), breakdown.weights(model)
    lazy = before
    for array in breakdown.arrays(model):
        mx.eval(array)
    mx.synchronize()
    active, peak = mx.get_active_memory() - before, mx.get_peak_memory() - before
    logits = model(mx.array([[1, 2, 3, 4]]))
    finite = bool(mx.isfinite(logits).all().item())
    return {
        "weights": weights,
        "active": active,
        "peak": peak,
        "lazy": lazy,
        "finite": finite,
        "spread": float(logits.max() - logits.min()),
    }


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
