"""A program that is traced and never rests: `python allocating.py TRACE`. It says when it has begun."""

import sys
from itertools import count

import mlx.core as mx

from mlxtop.mlx.trace.tracer import Tracer

tracer = Tracer(sys.argv[1], events=2**12)
tracer.start()
kept: list[mx.array] = []
for number in count(1):
    token = tracer.begin(sys._getframe(), "train", number)
    kept.append(mx.zeros((1000 + number % 500,)) + number)
    mx.eval(kept[-1])
    tracer.end(token)
    if len(kept) > 100:
        del kept[:50]
    if number == 200:
        print("begun", flush=True)
