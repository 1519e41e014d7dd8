"""The thresholds of all verdicts, each with its reason.

A wrong verdict is worse than none, so each threshold is one that ordinary programs do not reach.
Spans are seconds, sizes are bytes.
"""

from typing import Final

from mlxtop.core.limits import MIB

WINDOW: Final = 600.0
"""The recent window: long enough for tens of generations, short enough to be current."""
LONGER: Final = (1, 6, 36, 144)
"""The windows examined, as multiples of `WINDOW`: 10 min, 1 h, 6 h, 24 h. Long ones find slow leaks."""
LEAST_SPAN: Final = 1 / 3
"""Share of the window that is needed for a verdict. First requests and compilations are over by then."""
GROWTH_SPAN: Final = 2 / 3
"""Share of the window. A shorter growth may be a warm-up."""
WARM_UP: Final = 0.1
"""Share of the run (and at least of the window) that is left out at the start: weights load, caches fill."""

SEGMENTS: Final = 12
"""Floors in a window: enough for a 99 % interval, and each segment is longer than most generations."""
COLUMNS: Final = 10
"""Columns of history in a segment."""
KNOWN: Final = 9
"""Floors that must be known. With fewer, a trend cannot be distinguished from a step."""

Z: Final = 2.576
"""99 % two-sided: the screen diagnoses every two seconds, so a 95 % interval would be exceeded by chance."""
GROWTH_LEAST: Final = 16 * MIB
"""Allocators, interpreters and tokenizers grow by less on their own."""
GROWTH_SHARE: Final = 0.005
"""Share of the level. A smaller growth is reported by a longer window, once it adds up."""
BUFFERS_LEAST: Final = 1000
"""Buffers. A program that loads, warms up or keeps a few more requests has as many more."""
BUFFERS_SHARE: Final = 0.02
"""Share of the number. A smaller growth is reported by a longer window, once it adds up."""
TAU: Final = 0.8
"""Kendall's tau of the floors: at least nine of ten pairs rise. An oscillation does not reach it."""
STEP: Final = 0.5
"""Share of the growth. A single rise above it is a step (a model was loaded), not a growth."""
RISES: Final = 5
"""The least number of rises. Fewer are steps."""
RISE: Final = 0.02
"""Share of the growth from which a difference counts as a rise."""
LATELY: Final = 0.28
"""Share of the growth that must fall in the last third of the time. A saturating warm-up, 1 - exp(-t), falls
below it after 0.7 of its time constant."""
LEVELLED: Final = 0.1
"""Share of the growth in the last third below which it has levelled off."""
LOOK_BACK: Final = 24
"""Windows before this one that are searched for an earlier rise that came down again."""

FULL: Final = 0.9
"""Share of the limit from which the cache is full. MLX evicts first, so a full cache is below its limit."""
FLAT: Final = 0.25
"""Share of the cache's growth below which *active* counts as flat."""
EXPLAINS: Final = 0.5
"""Share of a growth or a rise of *active* from which something is named as the cause."""
TELLS: Final = 0.25
"""Share of a growth or a cycle that must have risen when a census is taken, or it explains none of it."""

SPIKE_TIMES: Final = {"tokens": 1.5, "evals": 2.0}
"""The ratio of a peak to the usual *active*. It is higher where phases are unknown: the usual is then less
certain."""
SPIKE_LEAST: Final = 64 * MIB
"""The least difference between a peak and the usual *active*."""
SPIKE_NEAR: Final = 0.01
"""Share of a peak by which the step that made it may differ: a sample may see a little more or less."""
SPIKE_SHARE: Final = {"tokens": 0.5, "evals": 0.25}
"""Share of the columns. A higher level that lasts longer is the usual. Prefill may take up to half."""
SPIKE_LASTS: Final = 0.05
"""Share of the window; not for prefill. Longer is a burst of work, a long answer or another model."""

SLOWER: Final = {"tokens": 0.9, "evals": 0.8}
"""Speed after a change of a limit over speed before. Evaluations vary in size more than tokens."""
SPEED_SPAN: Final = 0.2
"""Share of the window. Speeds are compared over this span before a change, after it, and now."""
SPEED_BLOCKS: Final = 24
"""Blocks of speed in each of these spans."""
SPEED_KNOWN: Final = 8
"""Blocks with work that are needed on each side."""
SPEED_HINT: Final = 3
"""From this many blocks on a lower speed prevents the verdict `steady`."""
PRESSES: Final = 0.05
"""Share of the window. Changes of a limit that are closer together count as one."""

IDLE_SPAN: Final = 0.2
"""Share of the window. A cache that nothing uses for less is not idle: people read answers meanwhile."""
IDLE_LEAST: Final = 16 * MIB
"""A smaller cache is not worth a word."""
IDLE_ALL: Final = 0.9
"""Share of what MLX holds from which the cache is all that it holds."""
IDLE_ALONE: Final = MIB // 16
"""The least cache that is mentioned where it is all that MLX holds."""
IDLE_SHARE: Final = 0.5
"""Share of what MLX holds from which an idle cache is mentioned."""
IDLE_LARGE: Final = 1024 * MIB
"""An idle cache of this size is mentioned whatever else MLX holds."""

SWING_LEAST: Final = 64 * MIB
"""The least rise of a cycle."""
SWING_SHARE: Final = 0.25
"""Share of the highest value that a cycle rises. Less is what a step takes beside what stays."""
SWINGS: Final = 3
"""How often it must come down: twice may be chance."""
SWING_COLUMNS: Final = 3
"""Columns of history in the shortest cycle that can be told."""
SWING_REGULAR: Final = 0.25
"""Share of the period, beside a column, by which most cycles may be shorter or longer and still have one."""
SWING_CLIMBS: Final = 0.15
"""Share of the columns between the levels, below which a cycle has two levels and does not climb."""
LONG_PEAK_TIMES: Final = 8.0
"""The ratio of a peak that lasts to the level between. Below it, it is work beside what stays."""
LONG_PEAK_SHARE: Final = 0.75
"""Share of the cycle. What lasts longer is the usual level, and the rest a pause."""
COLLECTED: Final = 0.6
"""Share of the falls that the garbage collector explains, from which it is named."""

SWAP_LEAST: Final = 256 * MIB
"""The least growth of the swap, and of the program beside it: systems swap out a little at rest."""
SHORT_SPAN: Final = 0.05
"""Share of the window for which a machine must be seen to run short."""
