"""What a verdict needs before it is said: every bar in one place, each with its reason.

A wrong verdict is worse than none, so each bar is set where ordinary programs stay below it.
Spans are seconds, sizes are bytes.
"""

from typing import Final

from mlxtop.core.limits import MIB

WINDOW: Final = 600.0
"""The recent window: long enough for tens of generations, short enough to still be news."""
LONGER: Final = (1, 6, 36, 144)
"""Stretches that are looked at, in windows: 10 min, 1 h, 6 h, 24 h. A slow leak shows only in a long one."""
LEAST_SPAN: Final = 1 / 3
"""Of the window: less than that is not enough data. First requests and compilations are over by then."""
GROWTH_SPAN: Final = 1 / 2
"""Of the window: a growth that is shorter may be a warm-up that has not levelled off yet."""
WARM_UP: Final = 0.1
"""Of the run, and at least of the window: left out at the beginning, where weights load and caches fill."""

SEGMENTS: Final = 12
"""A stretch has as many floors: enough for an interval at 99 %, each longer than most generations."""
COLUMNS: Final = 10
"""Columns of history in a segment."""
KNOWN: Final = 9
"""Floors that must be known: with more of a stretch missing nobody can tell a trend from a step."""

Z: Final = 2.576
"""99 % two-sided: the screen asks every two seconds, so a bar at 95 % would be crossed by chance."""
GROWTH_LEAST: Final = 16 * MIB
"""Less is what allocators, interpreters and tokenizers do by themselves."""
GROWTH_SHARE: Final = 0.005
"""Of the level: less matters to nobody. A longer stretch finds it when it adds up."""
TAU: Final = 0.8
"""Kendall's tau of the floors: at least nine of ten pairs rise. A swing does not reach it."""
STEP: Final = 0.5
"""Of the growth: when one rise has more, it was a step (a model loaded), not a growth."""
RISES: Final = 5
"""Rises there must be: fewer are steps."""
RISE: Final = 0.02
"""Of the growth: what counts as a rise."""
LATELY: Final = 0.28
"""Of the growth: what the last third of the time must have. A warm-up that levels off (1 - exp(-t)) has less
once it is 0.7 of its time constant old."""
LEVELLED: Final = 0.1
"""Of the growth: with less than that in the last third it has levelled off."""
LOOK_BACK: Final = 24
"""Stretches that are searched for an earlier rise of the kind that came down again."""

FULL: Final = 0.9
"""Of the limit: MLX evicts before it caches more, so a full cache swings a little below its limit."""
FLAT: Final = 0.25
"""Of the cache's growth: below it, *active* counts as flat beside it."""
EXPLAINS: Final = 0.5
"""Of the growth of *active*: what the KV cache must have grown by to be named as its cause."""

SPIKE_TIMES: Final = {"tokens": 1.5, "evals": 2.0}
"""A peak is far above the usual *active* from here on. Where no phase tells prompts from answers, the usual
is less sure."""
SPIKE_LEAST: Final = 64 * MIB
"""And by at least so much."""
SPIKE_SHARE: Final = {"tokens": 0.5, "evals": 0.25}
"""Of the columns: what is high for more of the time is the usual. Prefill may take up to half of it."""
SPIKE_LASTS: Final = 0.05
"""Of the window, but for prefill: longer is a burst of work, a long answer, or another model."""

SLOWER: Final = {"tokens": 0.9, "evals": 0.8}
"""Speed after a limit over speed before it. Evaluations differ in size more than tokens do."""
SPEED_SPAN: Final = 0.2
"""Of the window: how long before a limit's change, after it and lately speeds are compared."""
SPEED_BLOCKS: Final = 24
"""Blocks of speed in each of these spans."""
SPEED_KNOWN: Final = 8
"""Blocks in which work was done, on each side."""
SPEED_HINT: Final = 3
"""With so many at least, a lower speed is a doubt that keeps `steady` from being said."""
PRESSES: Final = 0.05
"""Of the window: limit changes that follow each other that closely are one."""
