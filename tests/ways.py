"""A program that does what people do with mlx-lm, one way at a time, as files ask for it."""

WAYS = """\
import os, sys, time
import mlx.core as mx, mlx.nn as nn
from mlx_lm import batch_generate, load, stream_generate
from mlx_lm.generate import BatchGenerator

model, tokenizer = load(sys.argv[1])
prompts = [[(7 * row + n) % 300 + 2 for n in range(300 + 30 * row)] for row in range(4)]
tower = nn.Linear(48, 4096); mx.eval(tower.parameters())

def batch():
    return batch_generate(model, tokenizer, prompts, max_tokens=4, return_prompt_caches=True)

def running():
    generator = BatchGenerator(model)
    generator.insert(prompts, [50] * 4)
    for _ in range(20): generator.next()
    return generator

def speculative():
    draft, _ = load(sys.argv[1])
    words = stream_generate(model, tokenizer, prompts[0], draft_model=draft, max_tokens=50)
    for _ in range(9): next(words)
    return words

def vision():
    image = mx.random.normal((2048, 48)); mx.eval(image)
    features = nn.relu(tower(image)).mean(axis=0)
    mx.eval(features)
    return features

ways = (batch, running, speculative, vision)
"""
"""What each returns is what somebody keeps. `vision` needs 32 MiB for a moment, once a prompt."""
ASKED = """
folder = os.path.dirname(os.path.abspath(sys.argv[0]))
print("it is up", flush=True)
while True:
    for way in ways:
        if os.path.exists(f"{folder}/{way.__name__}"):
            os.remove(f"{folder}/{way.__name__}")
            kept = None
            kept = way()
            print(way.__name__, "is done", flush=True)
    time.sleep(0.01)
"""
"""Each once, as a file of its name appears beside the program."""
AGAIN = """
way = {way.__name__: way for way in ways}[sys.argv[2]]
kept = []
while True:
    kept.append(way())
    if "keep" not in sys.argv: kept.clear()
    time.sleep(0.1)
"""
"""One of them again and again."""
