"""`mlxtop trace --layers`: the layer that makes the peak is named, and the program computes what it did."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mlxtop.mlx.trace import native
from mlxtop.trace.reader import TraceFile
from tests.process import mlxtop, python

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(native.load() is None, reason="built without its part in C"),
]

PROGRAM = """\
import functools, json, os, threading
import mlx.nn as nn
import mlx.core as mx
import mlx.optimizers as optim
from mlx_lm.models import llama
from mlx_lm.tuner.trainer import grad_checkpoint

class Wide(nn.Module):
    def __init__(self, dims):
        super().__init__()
        self.up, self.down = nn.Linear(dims, 4096), nn.Linear(4096, dims)

    def __call__(self, x):
        return self.down(mx.abs(self.up(x)))

class Wider(Wide):
    def __call__(self, x):
        return super().__call__(x)

class Forks(nn.Module):
    def __call__(self, x):
        pid = os.fork()
        if pid:
            found["forked"] = os.waitpid(pid, 0)[1] >> 8
        # Not evaluated in the child: MLX would wait there for threads that are gone.
        return x + pid

def called(number):
    with mx.stream(mx.new_stream(mx.cpu)):
        found[f"thread {number}"] = [model(tokens[:, : 4 + n]).tolist() for n in range(4)]
        mx.synchronize()

def loss(model, x):
    return nn.losses.cross_entropy(model(x[:, :-1]), x[:, 1:]).mean()

mx.random.seed(1)
model = llama.Model(llama.ModelArgs.from_dict(dict(
    model_type="llama", hidden_size=16, num_hidden_layers=3, intermediate_size=32, num_attention_heads=2,
    num_key_value_heads=2, rms_norm_eps=1e-5, vocab_size=64)))
model.model.layers[1].mlp = Wider(16)
tokens = mx.arange(16).reshape(2, 8)
optimizer, gradient = optim.SGD(0.1), nn.value_and_grad(model, loss)

def step():
    value, gradients = gradient(model, tokens)
    optimizer.update(model, gradients)
    return value

state = [model.state, optimizer.state]
compiled = mx.compile(step, inputs=state, outputs=state)
found = {"alone": model(tokens).tolist(), "mapped": mx.vmap(lambda x: model(x[None]))(tokens).tolist()}
found["losses"] = [one().item() for one in (step, step, compiled, compiled)]
found["after"] = model(tokens).tolist()
threads = [threading.Thread(target=called, args=(number,)) for number in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
mx.eval(model(mx.zeros((1, 512), mx.int32)))
grad_checkpoint(model.layers[0])
mx.reset_peak_memory()
found["checkpointed"] = step().item()
found["peak"] = mx.get_peak_memory()
Forks()(tokens)
if "forked" not in found:
    os._exit(7)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """What the program printed, and its trace."""
    folder = tmp_path_factory.mktemp("layers")
    script, file = folder / "work.py", folder / "work.mlxtrace"
    script.write_text(PROGRAM)
    done = mlxtop("trace", "--layers", "-o", str(file), "--", sys.executable, str(script))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), file


def test_results_and_losses_are_those_without(traced: tuple[Any, Path]) -> None:
    """Within `mx.compile` and `mx.vmap`, too, where MLX evaluates nothing; on two threads; in a fork."""
    found, bare = dict(traced[0]), python(PROGRAM)
    # What a checkpoint frees is freed.
    assert found.pop("peak") < 1.5 * bare.pop("peak")
    assert found == bare
    assert found["forked"] == 7


def test_the_layer_that_made_the_peak_is_named(traced: tuple[Any, Path]) -> None:
    shown = json.loads(mlxtop("trace", "show", "--json", str(traced[1])).stdout)
    layers = shown["at"]["layers"]
    assert layers[0]["name"].startswith("model.layers.1.mlp")
    assert layers[0]["bytes"] >= 512 * 4096 * 4
    assert sum(one["bytes"] for one in layers) == shown["at"]["bytes"]
    assert any("--layers" in note for note in shown["notes"])
    # A call of a layer is no step.
    assert shown["churn"]["steps"] == 1
    text = mlxtop("trace", "show", str(traced[1])).stdout
    assert "buffers  layer\n" in text
    with TraceFile(traced[1]) as trace:
        names = {site.layer for site in trace.sites()}
    assert {"Model", "model.layers.0.self_attn", "model.layers.2.mlp.down_proj"} <= names
